import { expect } from 'chai';
import { demoApp } from '../../examples/demo/app.js';
import { announceChange, Memberships, Organizations, Teams, Users } from '../../lib/index.js';
import { changeFeed } from '../../lib/runtime/change-feed.js';
import { clientsOf, connect, serve, until, world } from '../support/world.js';

describe('what an application writes to the collections itself', () => {
  it('counts on the next request when it is announced, and soon in other processes', async () => {
    const { connection, shared, signIn } = await world();
    const { body } = await signIn('ada@example.com');
    const headers = { Authorization: `Bearer ${body.accessToken}` };
    const here = clientsOf(await serve(demoApp(shared))).withHeaders(headers);
    const elsewhere = { ...shared, connection: await connect() };
    const there = clientsOf(await serve(demoApp(elsewhere))).withHeaders(headers);
    const [subject] = [{ type: 'user', id: body.user.id as string }] as const;
    await here.get('/api/admin').expect(403);
    await there.get('/api/admin').expect(403);

    await connection.transaction(async (session) => {
      await Users(connection).updateOne(
        { email: 'ada@example.com' },
        { $push: { roles: 'admin' } },
        { session },
      );
      await announceChange({ connection, session, subjects: [subject] });
    });
    await until(async () => (await there.get('/api/admin')).status === 200);
    await announceChange({ connection, subjects: [subject] });
    await here.get('/api/admin').expect(200);

    await Users(connection).updateOne({ email: 'ada@example.com' }, { status: 'inactive' });
    await announceChange({ connection, subjects: [subject] });
    expect((await here.get('/api/me').expect(403)).body.code).to.equal('user_inactive');
    await until(async () => (await there.get('/api/me')).status === 403);
  });

  it('counts at once for a strict guard and for those that follow it, announced or not', async () => {
    const { connection, as, globex } = await world({ strict: true }); // which the demo gives to authenticate() alone
    const ada = await as('ada@example.com', { 'X-Organization-Id': globex });
    await until(() => changeFeed(connection).isLive());
    await ada.get('/api/me').expect(200);
    await Memberships(connection).deleteOne({ organization: globex, role: 'member' });
    await ada.get('/api/me').expect(404);
  });

  it('counts in whatever letters the id of an organization or a team is written', async () => {
    const { connection, as, acme } = await world();
    const member = { organization: acme, role: 'owner' };
    const { _id } = await Teams(connection).findOne({ organization: acme, name: 'red' }).orFail().lean();
    await Memberships(connection).updateOne(member, { teams: [_id], currentTeam: _id });
    await until(() => changeFeed(connection).isLive());
    const ada = await as('ada@example.com', { 'X-Organization-Id': acme.toUpperCase() });
    const seen = async () => {
      const { organization, team } = (await ada.get('/api/me').expect(200)).body;
      return [organization.name, team.name];
    };
    expect(await seen()).to.deep.equal(['Acme', 'red']);
    await Organizations(connection).updateOne({ _id: acme }, { name: 'Acme Ltd' });
    await announceChange({ connection, subjects: [{ type: 'organization', id: acme.toUpperCase() }] });
    expect(await seen()).to.deep.equal(['Acme Ltd', 'red']);
    await Teams(connection).updateOne({ _id }, { name: 'crimson' });
    await announceChange({ connection, subjects: [{ type: 'team', id: String(_id).toUpperCase() }] });
    expect(await seen()).to.deep.equal(['Acme Ltd', 'crimson']);
  });

  it('leaves a member without a team when the current one was deleted', async () => {
    const { connection, as, acme } = await world();
    const red = await Teams(connection).findOneAndDelete({ organization: acme, name: 'red' }).orFail().lean();
    await Memberships(connection).updateOne({ organization: acme, role: 'owner' }, { currentTeam: red._id });
    const ada = await as('ada@example.com', { 'X-Organization-Id': acme });
    expect((await ada.get('/api/me').expect(200)).body.team).to.equal(null);
    await ada.get('/api/me').set('X-Team-Id', String(red._id)).expect(404);
  });
});
