import { expect } from 'chai';
import Koa from 'koa';
import { demoApp } from '../../examples/demo/app.js';
import {
  ApiKeys,
  AuditEntries,
  announceChange,
  authenticate,
  cleanUp,
  createApiKey,
  deleteApiKey,
  listApiKeys,
  Memberships,
  type NewApiKey,
  problems,
  revokeSessions,
  rotateApiKey,
  Sessions,
  type SignedIn,
  Users,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { startProcesses } from '../support/processes.js';
import { clientsOf, connect, countBy, inspector, serve, times, until, world } from '../support/world.js';

const email = 'ada@example.com';

/** The demo, and keys of Ada's for it. */
async function keyWorld() {
  const all = await world();
  const user = await Users(inspector()).findOne({ email }).orFail().lean();
  const userId = String(user._id);
  const make = (input: Partial<NewApiKey> = {}) =>
    createApiKey({ ...all.shared, userId, name: 'nightly', ...input });
  const by = (key: string, headers: Record<string, string> = {}) =>
    all.withHeaders({ 'X-API-Key': key, ...headers });
  return { ...all, userId, make, by };
}

const stored = (id: string) => ApiKeys(inspector()).findOne({ _id: id }).orFail().lean();
const codeOf = async (answer: PromiseLike<{ status: number; body: { code?: string } }>) => {
  const { status, body } = await answer;
  return body.code ? `${status} ${body.code}` : String(status);
};

describe('an API key', () => {
  it('is random, and stored only as a hash and a prefix that tells nothing of the rest', async () => {
    const { make } = await keyWorld();
    const made = await Promise.all(times(20, () => make()));

    expect(new Set(made.flatMap(({ key, prefix }) => [key, prefix])).size).to.equal(40);
    for (const { key, prefix } of made) {
      expect(key).to.match(/^tg_[0-9a-z]{8}_[\w-]{49}$/);
      expect(key.slice(0, 11)).to.equal(prefix);
    }
    const names = (await inspector().listCollections()).map(({ name }) => name);
    const contents = names
      .filter((name) => !name.startsWith('system.'))
      .map((name) => inspector().collection(name).find().toArray());
    const dump = JSON.stringify(await Promise.all(contents));
    for (const { key, prefix } of made)
      expect([dump.includes(prefix), dump.includes(key.slice(12))]).to.deep.equal([true, false]);
  });

  it('is refused by the functions for nobody, a foreign organization, and a past expiry', async () => {
    const { make, userId, globex } = await keyWorld();
    const refusals: [Partial<NewApiKey>, string][] = [
      [{ userId: '0'.repeat(24) }, 'not_found'],
      [{ userId: 'x' }, 'not_found'],
      [{ organizationId: '0'.repeat(24) }, 'not_found'],
      [{ organizationId: 'x' }, 'not_found'],
      [{ expiresAt: new Date(Date.now() - 1) }, 'validation_failed'],
    ];
    for (const [input, code] of refusals) {
      const refused = await make(input).then(
        () => 'made',
        (error) => error.code,
      );
      expect(refused, JSON.stringify(input)).to.equal(code);
    }
    await Memberships(inspector()).deleteOne({ user: userId, organization: globex });
    expect(await make({ organizationId: globex }).catch(({ code }) => code)).to.equal('not_found');
    expect(await ApiKeys(inspector()).countDocuments()).to.equal(0);
    expect(await AuditEntries(inspector()).countDocuments({ action: 'api-key.created' })).to.equal(0);
    for (const wrong of [
      { name: 7 },
      { scopes: ['*'] },
      { uses: 0 },
      { allowedIps: ['x'] },
      { more: 1 },
      { name: '' },
    ]) {
      const thrown = await make(wrong as object).catch((error) => error);
      expect(thrown).to.be.instanceOf(TypeError);
    }
  });

  it('is made and rotated for a session only while that lives, by the credentials that count now', async () => {
    const { make, shared, userId, signIn } = await keyWorld();
    const { id } = await make();
    const begin = async () => {
      await signIn(email).expect(200);
      const [newest] = await Sessions(inspector()).find().sort({ _id: -1 }).limit(1).lean();
      return String(newest?._id);
    };
    const asked = (sessionId: string) =>
      Promise.all(
        [make({ sessionId }), rotateApiKey({ ...shared, userId, apiKeyId: id, sessionId, overlap: 60 })].map(
          (work) =>
            work.then(
              () => 'made',
              ({ code }) => code,
            ),
        ),
      );
    const [live, ended, expired, old] = [await begin(), await begin(), await begin(), await begin()];
    await revokeSessions({ ...shared, userId, sessionId: ended });
    await Sessions(inspector()).updateOne({ _id: expired }, { expiresAt: new Date(0) });
    await Sessions(inspector()).updateOne({ _id: old }, { credentialEpoch: 7 });

    for (const sessionId of [ended, expired, old, '0'.repeat(24), 'x'])
      expect(await asked(sessionId), sessionId).to.deep.equal(['session_revoked', 'session_revoked']);
    expect(await ApiKeys(inspector()).countDocuments()).to.equal(1);
    expect(await asked(live)).to.deep.equal(['made', 'made']);
  });

  it('is one of at most a hundred live ones of a user, also when several are made or rotated at once', async () => {
    const { make, shared, userId } = await keyWorld();
    const first = await make();
    const { _id, hash, ...like } = await stored(first.id);
    const others = times(97, (index) => ({ ...like, hash: `${hash}${index}` }));
    const dead = times(50, (index) => ({ ...like, hash: `dead${index}`, deletedAt: new Date() }));
    await ApiKeys(inspector()).insertMany([...others, ...dead]);
    const rotate = (overlap: number) => rotateApiKey({ ...shared, userId, apiKeyId: first.id, overlap });

    const ends = await Promise.allSettled(times(6, () => make()));

    expect(countBy(ends, 'status')).to.deep.equal({ fulfilled: 2, rejected: 4 });
    for (const end of ends) if (end.status === 'rejected') expect(end.reason.code).to.equal('conflict');
    expect(await rotate(60).catch(({ code }) => code)).to.equal('conflict');
    const next = await rotate(0);
    expect(await make().catch(({ code }) => code)).to.equal('conflict');
    await deleteApiKey({ ...shared, userId, apiKeyId: next.id });
    await make();
  });

  it('is forgotten thirty days after its death, by cleanUp()', async () => {
    const { make, shared, userId } = await keyWorld();
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
    const deaths = (days: number) => [
      { deletedAt: daysAgo(days) },
      { expiresAt: daysAgo(days) },
      { usesLeft: 0, lastUsedAt: daysAgo(days) },
    ];
    const alive = [{}, { lastUsedAt: daysAgo(300) }, { usesLeft: 1, lastUsedAt: daysAgo(300) }];
    for (const state of [...deaths(31), ...deaths(29), ...alive]) {
      const { id } = await make();
      await ApiKeys(inspector()).updateOne({ _id: id }, state);
    }

    expect((await cleanUp(shared)).apiKeys).to.equal(3);

    expect((await listApiKeys({ ...shared, userId, limit: 100 })).items).to.have.length(6);
    expect((await cleanUp(shared)).apiKeys).to.equal(0);
  });

  it('has its making, rotation and deletion in the audit log, without the key', async () => {
    const { make, userId, shared, acme } = await keyWorld();
    const made = await make({ organizationId: acme, ip: '192.0.2.1' });
    const next = await rotateApiKey({ ...shared, userId, apiKeyId: made.id, overlap: 60 });
    await deleteApiKey({ ...shared, userId, apiKeyId: next.id, actor: 'somebody' });

    const entries = await AuditEntries(inspector())
      .find({ action: /^api-key/ })
      .sort({ at: 1 })
      .lean();

    expect(entries.map(({ action, actor, target }) => [action, actor, target?.id])).to.deep.equal([
      ['api-key.created', userId, made.id],
      ['api-key.rotated', userId, made.id],
      ['api-key.deleted', 'somebody', next.id],
    ]);
    for (const { organization } of entries) expect(String(organization)).to.equal(acme);
    expect(entries[0]).to.deep.include({
      ip: '192.0.2.1',
      details: { name: 'nightly', prefix: made.prefix },
    });
    expect(entries[1]?.details).to.include({ successor: next.id, overlap: 60 });
  });

  describe('whose uses are counted', () => {
    it('admits exactly one of many parallel requests when it has one use, in two processes', async () => {
      const { make } = await keyWorld();
      const { key, id } = await make({ uses: 1 });
      const processes = await startProcesses(2);

      const requests = processes.flatMap(({ withHeaders }) =>
        times(20, () => withHeaders({ 'X-API-Key': key }).get('/api/machine')),
      );
      const answers = await Promise.all(requests);

      expect(countBy(answers, 'status')).to.deep.equal({ 200: 1, 401: 39 });
      expect((await stored(id)).usesLeft).to.equal(0);
    });

    it('admits as many requests as it has uses, also when they come one by one, and tells what is left', async () => {
      const { make, by, shared, userId } = await keyWorld();
      const { key, id } = await make({ uses: 10 });

      for (let used = 1; used <= 3; used += 1) {
        await by(key).get('/api/machine').expect(200);
        const { items } = await listApiKeys({ ...shared, userId, limit: 1 });
        expect(items[0]).to.include({ id, usesLeft: 10 - used });
      }
      const answers = await Promise.all(times(20, () => by(key).get('/api/machine')));

      expect(countBy(answers, 'status')).to.deep.equal({ 200: 7, 401: 13 });
    });

    it('loses one to a request, however many guards of it ask who it is, and the last is good for all of them', async () => {
      const { make, shared } = await keyWorld();
      const { key, id } = await make({ uses: 2 });
      const app = new Koa();
      app.use(problems());
      for (const strict of [false, true, false]) app.use(authenticate({ ...shared, strict }));
      app.use(authenticate({ ...shared, accept: ['apiKey'] }));
      app.use((ctx) => {
        ctx.body = { left: (ctx.state as SignedIn).apiKey?.usesLeft };
      });
      const client = clientsOf(await serve(app)).withHeaders({ 'X-API-Key': key });

      for (const left of [1, 0]) expect((await client.get('/').expect(200)).body).to.deep.equal({ left });
      expect(await codeOf(client.get('/'))).to.equal('401 token_invalid');
      expect((await stored(id)).usesLeft).to.equal(0);
    });

    it('loses no use to a request that is refused for its credentials', async () => {
      const { make, by, as } = await keyWorld();
      const { key, id } = await make({ uses: 1 });
      const elsewhere = await make({ uses: 1, allowedIps: ['192.0.2.1'] });
      const ada = await as(email, { 'X-API-Key': key });

      expect(await codeOf(by(key).get('/api/browser'))).to.equal('403 credential_not_allowed');
      expect(await codeOf(ada.get('/api/machine'))).to.equal('400 credentials_conflict');
      expect(await codeOf(by(elsewhere.key).get('/api/machine'))).to.equal('403 ip_not_allowed');

      const left = await Promise.all([id, elsewhere.id].map(async (each) => (await stored(each)).usesLeft));
      expect(left).to.deep.equal([1, 1]);
      await by(key).get('/api/machine').expect(200);
      expect(await codeOf(by(key).get('/api/machine'))).to.equal('401 token_invalid');
      await ada.get('/api/browser').expect(200);
    });

    it('moves what is left to its successor, however many requests come meanwhile', async () => {
      const { make, by, shared, userId } = await keyWorld();
      const old = await make({ uses: 30 });
      const requests = times(20, () => by(old.key).get('/api/machine'));
      const rotation = rotateApiKey({ ...shared, userId, apiKeyId: old.id, overlap: 600 });
      const answers = await Promise.all(requests);
      const next = await rotation;

      const { 200: used = 0, 401: refused = 0 } = countBy(answers, 'status');
      expect([used + refused, next.usesLeft]).to.deep.equal([20, 30 - used]);
      expect(await codeOf(by(old.key).get('/api/machine'))).to.equal('401 token_invalid');
      await by(next.key).get('/api/machine').expect(200);
    });
  });

  describe('that is deleted', () => {
    it('is refused by the next request, however many use it at that moment', async () => {
      const { make, by, shared, userId } = await keyWorld();
      for (const { id, key } of await Promise.all(times(5, () => make()))) {
        let over = false;
        const busy = times(3, async () => {
          while (!over) await by(key).get('/api/machine');
        });
        await deleteApiKey({ ...shared, userId, apiKeyId: id });
        const answer = await codeOf(by(key).get('/api/machine'));
        over = true;
        await Promise.all(busy);
        expect(answer).to.equal('401 token_invalid');
      }
    });

    it('is refused by another process that knew it, soon', async () => {
      const { make, shared, userId } = await keyWorld();
      const { key, id } = await make();
      const processes = await startProcesses(2);
      const statuses = () =>
        Promise.all(
          processes.map(
            async ({ withHeaders }) => (await withHeaders({ 'X-API-Key': key }).get('/api/machine')).status,
          ),
        );
      expect(await statuses()).to.deep.equal([200, 200]);

      await deleteApiKey({ ...shared, userId, apiKeyId: id });

      await until(async () => (await statuses()).every((status) => status === 401));
    });

    it('is deleted once, however many ask at once', async () => {
      const { make, shared, userId } = await keyWorld();
      const { id } = await make();
      const ends = await Promise.allSettled(
        times(10, () => deleteApiKey({ ...shared, userId, apiKeyId: id })),
      );
      expect(countBy(ends, 'status')).to.deep.equal({ fulfilled: 1, rejected: 9 });
      expect(await AuditEntries(inspector()).countDocuments({ action: 'api-key.deleted' })).to.equal(1);
    });
  });

  describe('that is rotated', () => {
    it('has one successor, however many ask at once', async () => {
      const { make, shared, userId } = await keyWorld();
      const { id } = await make();
      const ends = await Promise.allSettled(
        times(10, () => rotateApiKey({ ...shared, userId, apiKeyId: id, overlap: 60 })),
      );
      expect(countBy(ends, 'status')).to.deep.equal({ fulfilled: 1, rejected: 9 });
      expect(await ApiKeys(inspector()).countDocuments()).to.equal(2);
    });

    it('works on for the overlap, by the clock of the database, but never beyond its own expiry', async () => {
      const { make, by, shared, userId } = await keyWorld();
      const own = new Date(Date.now() + 100_000);
      const [plain, short, cut] = await Promise.all([make(), make({ expiresAt: own }), make()]);
      const rotate = (apiKeyId: string, overlap: number) =>
        rotateApiKey({ ...shared, userId, apiKeyId, overlap });

      const [next] = await Promise.all([rotate(plain.id, 3_600), rotate(short.id, 3_600), rotate(cut.id, 0)]);

      for (const key of [plain.key, short.key, next.key]) await by(key).get('/api/machine').expect(200);
      expect(await codeOf(by(cut.key).get('/api/machine'))).to.equal('401 token_invalid');
      const { expiresAt, replacedBy } = await stored(plain.id);
      expect([String(replacedBy), next.expiresAt]).to.deep.equal([next.id, null]);
      expect(Number(expiresAt) - next.createdAt.getTime()).to.be.within(3_599_000, 3_601_000);
      expect((await stored(short.id)).expiresAt).to.deep.equal(own);
    });

    it('hands its limits on to its successor', async () => {
      const { make, shared, userId, acme } = await keyWorld();
      const expiresAt = new Date(Date.now() + 1_000_000);
      const limits = { scopes: ['images.*'], organizationId: acme, allowedIps: ['10.0.0.0/8'], expiresAt };
      const old = await make(limits);
      const next = await rotateApiKey({ ...shared, userId, apiKeyId: old.id });
      expect(next).to.deep.include({ ...limits, name: 'nightly' });
      expect([next.id === old.id, next.key === old.key, next.prefix === old.prefix]).to.deep.equal([
        false,
        false,
        false,
      ]);
    });

    it('is refused for a wrong overlap, and when it is replaced, expired, used up or deleted already', async () => {
      const { make, shared, userId } = await keyWorld();
      const made = await Promise.all(times(4, () => make({ uses: 1 })));
      const [replaced, expired, used, deleted] = made.map(({ id }) => id) as [string, string, string, string];
      const rotate = (apiKeyId: string, overlap = 0) =>
        rotateApiKey({ ...shared, userId, apiKeyId, overlap });
      await rotate(replaced);
      await ApiKeys(inspector()).updateOne({ _id: expired }, { expiresAt: new Date(0) });
      await ApiKeys(inspector()).updateOne({ _id: used }, { usesLeft: 0 });
      await deleteApiKey({ ...shared, userId, apiKeyId: deleted });

      const codes = await Promise.all(
        [replaced, expired, used, deleted].map((id) => rotate(id).catch(({ code }) => code)),
      );

      expect(codes).to.deep.equal(['conflict', 'conflict', 'conflict', 'not_found']);
      for (const overlap of [-1, 1.5, 604_801, Number.NaN, '60' as unknown as number]) {
        expect(await rotate(used, overlap).catch((error) => error)).to.be.instanceOf(TypeError);
      }
    });
  });

  it('is not remembered as it was read while something about it changed', async () => {
    const { make, shared, userId } = await keyWorld();
    const [known, other] = await Promise.all([make(), make()]);
    const slow = { appName: 'slow', monitorCommands: true };
    const connection = await connect(undefined, slow);
    const { withHeaders } = clientsOf(await serve(demoApp({ ...shared, connection })));
    const reads = watchCommands(connection);
    const readsOf = async ({ key }: { key: string }) => {
      const before = reads.filter((name) => name === 'aggregate').length;
      await withHeaders({ 'X-API-Key': key }).get('/api/machine').expect(200);
      return reads.filter((name) => name === 'aggregate').length - before;
    };
    await until(async () => (await readsOf(known)) === 0);

    const data = { failCommands: ['aggregate'], blockConnection: true, blockTimeMS: 500, appName: 'slow' };
    const admin = inspector().getClient().db('admin');
    await admin.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data });
    reads.splice(0);
    const first = readsOf(other);
    await until(() => reads.includes('aggregate'));
    await announceChange({ connection, subjects: [{ type: 'user', id: userId }] });

    expect([await first, await readsOf(other)]).to.deep.equal([1, 1]);
    await until(async () => (await readsOf(other)) === 0);
  });

  it('is noted as used once a minute, whatever the number of requests and processes', async () => {
    const { make, by } = await keyWorld();
    const { key, id, lastUsedAt } = await make();
    expect(lastUsedAt).to.equal(null);
    await by(key).get('/api/machine').expect(200);
    await until(async () => (await stored(id)).lastUsedAt !== null);
    const first = (await stored(id)).lastUsedAt;

    const [other] = await startProcesses(1);
    for (const client of [by(key), other?.withHeaders({ 'X-API-Key': key })]) {
      for (const _ of times(5, () => 0)) await client?.get('/api/machine').expect(200);
    }

    expect((await stored(id)).lastUsedAt).to.deep.equal(first);
    await ApiKeys(inspector()).updateOne({ _id: id }, { lastUsedAt: new Date(Date.now() - 61_000) });
    const [fresh] = await startProcesses(1);
    await fresh?.withHeaders({ 'X-API-Key': key }).get('/api/machine').expect(200);
    await until(async () => Number((await stored(id)).lastUsedAt) > Date.now() - 30_000);
  });

  describe('for one organization', () => {
    it('acts there and nowhere else, whatever the request names', async () => {
      const { make, by, acme, globex } = await keyWorld();
      const { key } = await make({ organizationId: acme });
      const free = await make();
      const slugs = async (which: string, headers: Record<string, string> = {}) => {
        const { status, body } = await by(which, headers).get('/api/me');
        return body.organization?.slug ?? body.code ?? status;
      };
      const named = (id: string) => ({ 'X-Organization-Id': id });

      expect(await slugs(key)).to.equal('acme');
      expect(await slugs(key, named(acme))).to.equal('acme');
      expect(await slugs(key, named(acme.toUpperCase()))).to.equal('acme');
      for (const id of [globex, '0'.repeat(24), 'x'])
        expect(await slugs(key, named(id))).to.equal('not_found');
      expect(await slugs(free.key, named(globex))).to.equal('globex');
      expect(await slugs(free.key)).to.equal(200);
    });

    it('is refused once its user has left, also where it is known', async () => {
      const { make, by, userId, globex, shared } = await keyWorld();
      const { key } = await make({ organizationId: globex });
      await by(key).get('/api/machine').expect(200);

      await Memberships(inspector()).deleteOne({ user: userId, organization: globex });
      await announceChange({ ...shared, subjects: [{ type: 'user', id: userId }] });

      expect(await codeOf(by(key).get('/api/machine'))).to.equal('401 token_invalid');
    });
  });

  it('ends with its user: 403 user_inactive in every process, soon, and at once where it was changed', async () => {
    const { make, by, userId, shared } = await keyWorld();
    const { key } = await make();
    const [other] = await startProcesses(1);
    const there = other?.withHeaders({ 'X-API-Key': key });
    for (const client of [by(key), there]) await client?.get('/api/machine').expect(200);

    await Users(inspector()).updateOne({ _id: userId }, { status: 'inactive' });
    await announceChange({ ...shared, subjects: [{ type: 'user', id: userId }] });

    expect(await codeOf(by(key).get('/api/machine'))).to.equal('403 user_inactive');
    await until(async () => (await there?.get('/api/machine'))?.status === 403);
  });
});
