import { expect } from 'chai';
import { addMember, createApiKey, createUser, Memberships, Roles, saveRole } from '../../lib/index.js';
import { administered, refusal } from '../support/admins.js';
import { tenancyWorld } from '../support/tenancy.js';
import { inspector } from '../support/world.js';

const everything = { create: '*', update: '*', delete: '*' } as const;
const lacks = (code: string) => [403, 'permission_missing', code];

describe('the management rules of a role', () => {
  it('do not become more than whoever changes it may by being left out: of administrators none are all of them', async () => {
    const { byAdmin, as, role, give, ids } = await administered();
    const rules = { create: ['user'], update: ['user'], delete: [] };
    await role('clerk', ['admin.roles.manage']);
    await give('bob', 'clerk');
    const bob = await as('bob@example.com');
    const put = (who: typeof bob, body: object) => who.put('/admin/roles/admin', body);
    await put(bob, { permissions: ['admin.*'] }).expect(200); // they have no others to take away yet
    await role('admin', ['admin.*'], rules);
    for (const who of [bob, byAdmin]) {
      expect(await refusal(put(who, { permissions: ['admin.*'] }))).to.deep.equal(lacks('users.create:*'));
      const reset = { permissions: ['admin.*'], managementRules: null };
      expect(await refusal(put(who, reset))).to.deep.equal(lacks('users.create:*'));
    }
    const stay = { permissions: ['admin.*', 'admin.extra.read'], managementRules: rules };
    await put(byAdmin, stay).expect(200);
    expect(await refusal(byAdmin.delete(`/admin/users/${ids.bob}`))).to.deep.equal(
      lacks('users.delete:clerk'),
    );
    const { role: mended } = await saveRole({
      connection: inspector(),
      name: 'admin',
      managementRules: null,
    });
    expect(mended.managementRules).to.equal(null); // the application gives what nobody could
    await byAdmin.delete(`/admin/users/${ids.bob}`).expect(409); // owns Globex
  });

  it('may stay, and be taken away, by somebody who has none', async () => {
    const { as, role, give } = await administered();
    const rules = { create: ['user', 'editor'], update: ['user'], delete: [] };
    await role('manager', ['tickets.read'], rules);
    await role('clerk', ['admin.roles.manage']);
    await give('bob', 'clerk');
    const bob = await as('bob@example.com');
    const put = (managementRules?: object) =>
      bob.put('/admin/roles/manager', { permissions: ['tickets.read'], managementRules });
    await put(rules).expect(200);
    await put({ ...rules, create: ['editor'] }).expect(200);
    expect(await refusal(put(rules))).to.deep.equal(lacks('users.create:user'));
    expect(await refusal(put({ ...rules, update: '*' }))).to.deep.equal(lacks('users.create:user'));
    await put().expect(200);
    expect(await refusal(put({ delete: ['user'] }))).to.deep.equal(lacks('users.delete:user'));
  });

  it('are given by an API key only with the scope for managing users', async () => {
    const { shared, ids, withHeaders, role } = await administered();
    await role('clerk', [], { create: ['user'], update: [], delete: [] });
    const key = async (...scopes: string[]) => {
      const made = await createApiKey({ ...shared, userId: ids.admin, name: 'robot', scopes });
      return withHeaders({ 'X-API-Key': made.key });
    };
    const narrow = await key('admin.roles.manage');
    for (const name of ['user', 'clerk', 'new'])
      expect(
        await refusal(narrow.put(`/admin/roles/${name}`, { managementRules: everything })),
      ).to.deep.equal(lacks('admin.users.manage'));
    await narrow.put('/admin/roles/clerk', { managementRules: { create: ['user'] } }).expect(200);
    await narrow.put('/admin/roles/clerk', {}).expect(200);
    const broad = await key('admin.roles.manage', 'admin.users.*');
    await broad.put('/admin/roles/clerk', { managementRules: everything }).expect(200);
    await (await key()).put('/admin/roles/user', { managementRules: everything }).expect(200);
  });

  it('are given with a role by nobody who may less themselves', async () => {
    const { as, role, give } = await administered();
    const managed = ['user', 'lead'];
    await role('lead', [], everything);
    await role('manager', [], { create: managed, update: managed, delete: [] });
    await give('bob', 'manager');
    const bob = await as('bob@example.com');
    const person = (name: string, ...roles: string[]) => ({ email: `${name}@example.com`, roles });
    expect(await refusal(bob.post('/admin/users', person('a', 'lead')))).to.deep.equal(
      lacks('users.create:*'),
    );
    const { body: made } = await bob.post('/admin/users', person('b', 'user')).expect(201);
    const promote = () => bob.patch(`/admin/users/${made.id}`, { roles: ['user', 'lead'] });
    expect(await refusal(promote())).to.deep.equal(lacks('users.create:*'));
    await role('lead', [], { create: [], update: ['user', 'editor'], delete: [] });
    expect(await refusal(promote())).to.deep.equal(lacks('users.update:editor'));
    await role('lead', [], { create: ['user'], update: [], delete: [] });
    await promote().expect(200);
    await role('lead', [], everything);
    await bob.patch(`/admin/users/${made.id}`, { name: 'Lead' }).expect(200); // who has the role already keeps it
  });

  it('let administrators make others, also before any role is defined and where theirs are stored', async () => {
    const { byAdmin, role, shared, ids } = await administered();
    const rules = { create: ['user', 'admin'], update: [], delete: [] };
    await role('admin', ['admin.*'], rules);
    await byAdmin.post('/admin/users', { email: 'a@example.com', roles: ['admin'] }).expect(201);
    await Roles(inspector()).deleteMany({ name: 'admin' });
    const second = { email: 'b@example.com', roles: ['admin'] };
    expect(await createUser({ ...shared, ...second, actor: ids.admin })).to.deep.include(second);
  });
});

describe('what somebody holds by a global role', () => {
  it('lets them act in an organization, and is not theirs to give or to take away there', async () => {
    const { shared, acme, visitor, person, as } = await tenancyWorld();
    await saveRole({ ...shared, name: 'support', permissions: ['organization.*', 'billing.*'] });
    const { user, client } = await visitor('grace@example.com', { roles: ['user', 'support'] });
    const [plain, boss] = [await person('plain@example.com'), await person('boss@example.com')];
    const organizationId = acme;
    for (const [userId, role] of [
      [user.id, 'member'],
      [plain.id, 'member'],
      [boss.id, 'admin'],
    ] as const)
      await addMember({ ...shared, organizationId, userId, role });
    const here = `/organizations/${acme}`;
    const refused = async (answer: Parameters<typeof refusal>[0], code: string) =>
      expect(await refusal(answer)).to.deep.equal(lacks(code));
    const invite = (role: string) =>
      client.post(`${here}/invitations`, { email: `${role}@new.example`, role });
    const make = (name: string, ...permissions: string[]) =>
      client.post(`${here}/roles`, { name, permissions });

    await invite('member').expect(201);
    await refused(invite('admin'), 'organization.members.manage');
    await make('guest').expect(201);
    await refused(make('reader', 'billing.read'), 'billing.read');
    await client.patch(`${here}/members/${plain.id}`, { role: 'guest' }).expect(200);
    await refused(
      client.patch(`${here}/members/${plain.id}`, { role: 'admin' }),
      'organization.members.manage',
    );
    await refused(
      client.patch(`${here}/members/${boss.id}`, { role: 'member' }),
      'organization.members.manage',
    );
    await refused(client.delete(`${here}/members/${boss.id}`), 'organization.members.manage');
    const ada = await as('ada@example.com');
    const { body } = await ada
      .post(`${here}/invitations`, { email: 'x@new.example', role: 'admin' })
      .expect(201);
    await refused(client.delete(`${here}/invitations/${body.id}`), 'organization.members.manage');
    await refused(client.post(`${here}/invitations/${body.id}/resend`), 'organization.members.manage');
    await client.delete(`${here}/members/${plain.id}`).expect(204);
    expect(await Memberships(inspector()).countDocuments({ organization: acme, role: 'admin' })).to.equal(1);
  });
});
