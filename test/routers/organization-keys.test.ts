import { expect } from 'chai';
import { addMember, createApiKey, Memberships, saveRole } from '../../lib/index.js';
import { idOf, refusal } from '../support/admins.js';
import { tenancyWorld } from '../support/tenancy.js';
import { inspector } from '../support/world.js';

/** Acme, keys of its owner Ada for it, and people in it. */
async function keyedWorld(options: Parameters<typeof tenancyWorld>[0] = {}) {
  const made = await tenancyWorld(options);
  const { shared, connection, acme: organizationId, withHeaders, person } = made;
  const userId = await idOf(connection, 'ada');
  const key = async (...scopes: string[]) => {
    const { key } = await createApiKey({ ...shared, userId, name: 'robot', organizationId, scopes });
    return withHeaders({ 'X-API-Key': key });
  };
  const member = async (name: string, role: string) => {
    const { id } = await person(`${name}@example.com`);
    await addMember({ ...shared, organizationId, userId: id, role });
    return id;
  };
  const roleOf = async (user: string) =>
    (await Memberships(inspector()).findOne({ user, organization: organizationId }).orFail().lean()).role;
  return { ...made, key, member, roleOf, here: `/organizations/${organizationId}` };
}

const lacks = (code: string) => [403, 'permission_missing', code];

describe('an API key for one organization', () => {
  it('acts in it in whatever letters its id is written, and in no other', async () => {
    const { key, acme, globex } = await keyedWorld();
    const robot = await key();
    for (const id of [acme, acme.toUpperCase()]) {
      expect((await robot.get(`/organizations/${id}`).expect(200)).body.id).to.equal(acme);
      await robot.get('/api/reports').set('X-Organization-Id', id).expect(200);
    }
    for (const id of [globex, globex.toUpperCase(), 'x']) await robot.get(`/organizations/${id}`).expect(404);
  });

  it('makes no organization, and uses up no attempt of its user at that', async () => {
    const { key, as } = await keyedWorld({ organizationRate: '2/hour' });
    const robot = await key();
    for (const name of ['One', 'Two', 'Three'])
      expect((await refusal(robot.post('/organizations', { name }))).slice(0, 2)).to.deep.equal([403, 'permission_missing']); // biome-ignore format: one line
    const ada = await as('ada@example.com');
    await ada.post('/organizations', { name: 'Taken', slug: 'globex' }).expect(409); // an attempt that counts
    await ada.post('/organizations', { name: 'Made' }).expect(201);
    await ada.post('/organizations', { name: 'Late' }).expect(429);
  });
});

describe('an API key of an owner', () => {
  it('invites, sends again and uninvites nobody whose role holds more than its scopes', async () => {
    const { key, as, here, shared, acme } = await keyedWorld();
    await saveRole({ ...shared, organizationId: acme, name: 'host', permissions: ['organization.invitations.manage'] }); // biome-ignore format: a role
    const narrow = await key('organization.invitations.manage');
    const invite = (role?: string) =>
      narrow.post(`${here}/invitations`, { email: `${role}@example.com`, role });
    expect(await refusal(invite('owner'))).to.deep.equal(lacks('organization.*'));
    expect(await refusal(invite('admin'))).to.deep.equal(lacks('organization.members.manage'));
    const { body: guest } = await invite().expect(201);
    await invite('host').expect(201);
    await narrow.post(`${here}/invitations/${guest.id}/resend`).expect(200);
    await narrow.delete(`${here}/invitations/${guest.id}`).expect(204);

    const ada = await as('ada@example.com');
    const heir = { email: 'heir@example.com', role: 'owner' };
    const { body } = await ada.post(`${here}/invitations`, heir).expect(201);
    const path = `${here}/invitations/${body.id}`;
    expect(await refusal(narrow.post(`${path}/resend`))).to.deep.equal(lacks('organization.*'));
    expect(await refusal(narrow.delete(path))).to.deep.equal(lacks('organization.*'));
    await (await key('organization.*', 'billing.*')).post(`${path}/resend`).expect(200);
    await (await key()).delete(path).expect(204);
  });

  it('gives no member a role that holds more than its scopes, and takes none away', async () => {
    const { key, member, roleOf, here } = await keyedWorld();
    const [eve, boss] = [await member('eve', 'member'), await member('boss', 'admin')];
    const narrow = await key('organization.members.manage');
    const change = (who: string, change: object) => narrow.patch(`${here}/members/${who}`, change);
    expect(await refusal(change(eve, { role: 'owner' }))).to.deep.equal(lacks('organization.*'));
    expect(await refusal(change(eve, { role: 'admin' }))).to.deep.equal(
      lacks('organization.invitations.manage'),
    );
    expect(await refusal(change(boss, { role: 'member' }))).to.deep.equal(
      lacks('organization.invitations.manage'),
    );
    expect(await refusal(narrow.delete(`${here}/members/${boss}`))).to.deep.equal(
      lacks('organization.invitations.manage'),
    );
    expect([await roleOf(eve), await roleOf(boss)]).to.deep.equal(['member', 'admin']);
    await change(eve, { teamIds: [] }).expect(200);
    await narrow.delete(`${here}/members/${eve}`).expect(204);
    const broad = await key('organization.*', 'billing.read');
    await broad.patch(`${here}/members/${boss}`, { role: 'member' }).expect(200);
    expect(await refusal(broad.patch(`${here}/members/${boss}`, { role: 'owner' }))).to.deep.equal(
      lacks('billing.*'),
    );
    await (await key()).patch(`${here}/members/${boss}`, { role: 'owner' }).expect(200);
  });
});
