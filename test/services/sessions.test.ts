import { expect } from 'chai';
import mongoose from 'mongoose';
import { AuditEntries, revokeSessions, Sessions } from '../../lib/index.js';
import { type Client, inspector, times, world } from '../support/world.js';

/** Ada in three browsers, and Bob in one. */
async function browsers() {
  const all = await world();
  const ada = await Promise.all(times(3, () => all.as('ada@example.com')));
  return { ...all, ada: ada as [Client, Client, Client], bob: await all.as('bob@example.com') };
}

const idOf = async (client: Client): Promise<string> =>
  (await client.post('/auth/check').expect(200)).body.session.id;

describe("a user's sessions", () => {
  it('are listed with the one that asks marked, and nobody else’s', async () => {
    const { ada } = await browsers();
    const ids = await Promise.all(ada.map(idOf));

    const { body } = await ada[1].get('/auth/sessions').expect(200);

    const keys = [
      'id',
      'ip',
      'userAgent',
      'createdAt',
      'lastUsedAt',
      'authenticatedAt',
      'expiresAt',
      'current',
    ];
    expect(body.items.map(({ id }: { id: string }) => id)).to.have.members(ids);
    for (const item of body.items) {
      expect(item).to.have.all.keys(keys);
      expect(item.current).to.equal(item.id === ids[1]);
    }
    expect(body.nextCursor).to.equal(null);
  });

  it('come in pages', async () => {
    const { ada } = await browsers();
    const first = await ada[0].get('/auth/sessions?limit=2').expect(200);
    const second = await ada[0].get(`/auth/sessions?limit=2&cursor=${first.body.nextCursor}`).expect(200);
    expect([first.body.items.length, second.body.items.length, second.body.nextCursor]).to.deep.equal([
      2,
      1,
      null,
    ]);
    await ada[0].get('/auth/sessions?page=2').expect(400);
  });

  it('are not listed when they have ended or expired', async () => {
    const { ada } = await browsers();
    await ada[0].post('/auth/sign-out').expect(204);
    await Sessions(inspector()).updateOne({ _id: await idOf(ada[1]) }, { expiresAt: new Date(0) });
    const { body } = await ada[2].get('/auth/sessions').expect(200);
    expect(body.items).to.have.length(1);
  });

  it('can be ended one by one, at once', async () => {
    const { ada } = await browsers();
    await ada[0].delete(`/auth/sessions/${await idOf(ada[1])}`).expect(204);
    expect((await ada[1].get('/api/me').expect(401)).body.code).to.equal('session_revoked');
    await ada[0].get('/api/me').expect(200);
    await ada[2].get('/api/me').expect(200);
    expect(await AuditEntries(inspector()).countDocuments({ action: 'session.revoked' })).to.equal(1);
  });

  it('can all be ended but the one that asks', async () => {
    const { ada, bob } = await browsers();
    await ada[0].delete('/auth/sessions').expect(204);
    await ada[0].get('/api/me').expect(200);
    await ada[1].get('/api/me').expect(401);
    await ada[2].get('/api/me').expect(401);
    await bob.get('/api/me').expect(200);
    await ada[0].delete('/auth/sessions').expect(204);
  });

  it('cannot be ended by another user, nor twice, nor by a malformed id: all are 404', async () => {
    const { ada, bob } = await browsers();
    const [mine, other] = [await idOf(ada[0]), await idOf(ada[1])];
    await ada[0].delete(`/auth/sessions/${other}`).expect(204);
    for (const [client, id] of [
      [bob, mine],
      [ada[0], other],
      [ada[0], 'x'],
      [ada[0], `${mine}0`],
      [ada[0], '0'.repeat(24)],
    ] as const) {
      expect((await client.delete(`/auth/sessions/${id}`).expect(404)).body.code).to.equal('not_found');
    }
    await ada[0].get('/api/me').expect(200);
  });

  it('end once, however many ask at once, and each by one entry of the audit log', async () => {
    const { ada, shared } = await browsers();
    const { body } = await ada[0].post('/auth/check').expect(200);
    const input = { ...shared, userId: body.user.id as string };

    const counts = await Promise.all(times(8, () => revokeSessions(input)));

    expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(3);
    const entries = await AuditEntries(inspector()).find({ action: 'session.revoked' }).lean();
    expect(entries.flatMap(({ details }) => details.sessions)).to.have.length(3);
    await ada[0].get('/api/me').expect(401);
  });

  it('are all ended by signing out everywhere, and forgotten by every process at once in this one', async () => {
    const { ada, bob } = await browsers();
    await Promise.all([...ada, bob].map((client) => client.get('/api/me').expect(200)));
    await ada[2].post('/auth/sign-out', { everywhere: true }).expect(204);
    for (const client of ada) await client.get('/api/me').expect(401);
    await bob.get('/api/me').expect(200);
  });

  it('are a hundred at most: a further sign-in ends the oldest', async () => {
    const { as } = await world();
    const first = await as('ada@example.com');
    const stored = inspector().collection('tollgate_sessions');
    const session = await stored.findOne();
    await stored.insertMany(times(105, () => ({ ...session, _id: new mongoose.Types.ObjectId() })));
    const last = await as('ada@example.com');
    expect(await stored.countDocuments({ revokedAt: null })).to.equal(100);
    await last.get('/auth/profile').expect(200);
    await first.get('/auth/profile').expect(401);
  });
});
