import { expect } from 'chai';
import {
  AuditEntries,
  announceChange,
  createApiKey,
  deleteRole,
  Memberships,
  Roles,
  saveRole,
  Users,
} from '../../lib/index.js';
import { transaction } from '../../lib/runtime/transaction.js';
import { holdRole } from '../../lib/services/roles/hold-role.js';
import { type Client, countBy, inspector, times, world } from '../support/world.js';

/** Bob owns Globex, and Ada is its member with the role that is given. */
async function globex(role = 'member') {
  const given = await world();
  const { connection, globex: organizationId, as } = given;
  const idOf = async (name: string) =>
    String(
      (
        await Users(connection)
          .findOne({ email: `${name}@example.com` })
          .orFail()
          .lean()
      )._id,
    );
  const [ada, bob] = [await idOf('ada'), await idOf('bob')];
  const give = async (role: string) => {
    await Memberships(connection).updateOne({ organization: organizationId, user: ada }, { role });
    await announceChange({ connection, subjects: [{ type: 'user', id: ada }] });
  };
  await give(role);
  const people = { ada: await as('ada@example.com'), bob: await as('bob@example.com') };
  return {
    ...given,
    ...people,
    adaId: ada,
    bobId: bob,
    give,
    roles: `/organizations/${organizationId}/roles`,
  };
}

/** A role that may make roles, and read the bill. */
const clerk = { name: 'clerk', permissions: ['organization.roles.manage', 'billing.read'] };

const refusal = async (
  answer: PromiseLike<{ status: number; body: { code: string; requiredPermission?: string } }>,
) => {
  const { status, body } = await answer;
  return [status, body.code, body.requiredPermission];
};

describe('the roles of an organization', () => {
  it('are made, listed, changed and deleted by its owner, and count on the next request', async () => {
    const { ada, bob, roles, connection, give } = await globex();
    const { headers, body } = await bob.post(roles, clerk).expect(201);
    expect(headers.location).to.equal(`${roles}/clerk`);
    expect(body).to.deep.equal({ ...clerk, managementRules: null });
    await bob.post(roles, { name: 'Büro 2', permissions: [] }).expect(201);
    const first = (await ada.get(`${roles}?limit=1`).expect(200)).body;
    expect(first.items).to.deep.equal([body]);
    const second = (await ada.get(`${roles}?limit=1&cursor=${first.nextCursor}`).expect(200)).body;
    expect(second).to.deep.equal({
      items: [{ name: 'Büro 2', permissions: [], managementRules: null }],
      nextCursor: null,
    });

    const making = () => ada.post(roles, { name: 'reader', permissions: ['billing.read'] });
    expect(await refusal(making())).to.deep.equal([403, 'permission_missing', 'organization.roles.manage']);
    await give('clerk');
    await making().expect(201);
    const less = { permissions: ['billing.read'] };
    expect((await bob.patch(`${roles}/clerk`, less).expect(200)).body).to.include({ name: 'clerk' });
    expect(await refusal(ada.delete(`${roles}/reader`))).to.deep.equal([
      403,
      'permission_missing',
      'organization.roles.manage',
    ]);
    await bob.delete(`${roles}/${encodeURIComponent('Büro 2')}`).expect(204);
    await bob.delete(`${roles}/reader`).expect(204);

    const entries = await AuditEntries(connection).find({ action: /^role/ }).sort({ _id: 1 }).lean();
    expect(entries.map(({ action, target }) => `${action} ${target?.id}`)).to.deep.equal([
      'role.created clerk',
      'role.created Büro 2',
      'role.created reader',
      'role.updated clerk',
      'role.deleted Büro 2',
      'role.deleted reader',
    ]);
    expect(entries[3]?.details).to.deep.equal({ ...less, managementRules: null });
  });

  it('are nobody’s business outside of it, and nobody’s there who may not', async () => {
    const { ada, bob, anyone, acme, roles } = await globex('admin');
    for (const send of [
      (who: Client, path: string) => who.post(path, clerk),
      (who: Client, path: string) => who.get(path),
    ]) {
      expect(await refusal(send(bob, `/organizations/${acme}/roles`))).to.deep.equal([
        404,
        'not_found',
        undefined,
      ]);
      expect(await refusal(send(bob, '/organizations/nonsense/roles'))).to.deep.equal([
        404,
        'not_found',
        undefined,
      ]);
      expect(await refusal(send(anyone(), roles))).to.deep.equal([401, 'token_missing', undefined]);
    }
    for (const answer of [ada.post(roles, clerk), ada.patch(`${roles}/x`, {}), ada.delete(`${roles}/x`)])
      expect(await refusal(answer)).to.deep.equal([403, 'permission_missing', 'organization.roles.manage']);
  });

  it('hold no permission that their author lacks', async () => {
    const { ada, bob, roles, connection, acme, give } = await globex();
    await bob.post(roles, clerk).expect(201);
    await bob.post(roles, { name: 'boss', permissions: ['billing.manage'] }).expect(201);
    await give('clerk');
    const lacks = async (code: string, answer: Parameters<typeof refusal>[0]) =>
      expect(await refusal(answer)).to.deep.equal([403, 'permission_missing', code]);
    const make = (who: Client, ...permissions: string[]) => who.post(roles, { name: 'new', permissions });
    await lacks('billing.manage', make(ada, 'billing.read', 'billing.manage'));
    await lacks('billing.*', make(ada, 'billing.*'));
    await lacks('organization.*', ada.patch(`${roles}/clerk`, { permissions: ['organization.*'] }));
    await lacks('billing.manage', ada.patch(`${roles}/clerk`, { permissions: ['billing.manage'] }));
    await ada.patch(`${roles}/boss`, { permissions: ['billing.manage', 'billing.read'] }).expect(200);
    await lacks('admin.users.read', make(bob, 'admin.users.read'));
    await lacks('projects.write', make(bob, 'projects.write'));
    await saveRole({ connection, name: 'organization.owner', permissions: ['projects.*'] });
    await make(bob, 'projects.write').expect(201);

    const { body: own } = await ada.get(`/organizations/${acme}/roles`).expect(200);
    expect(own).to.deep.equal({ items: [], nextCursor: null });
  });

  it('take nothing from a global role of their author', async () => {
    const { bob, bobId, roles, connection } = await globex();
    await saveRole({ connection, name: 'support', permissions: ['tickets.*'] });
    await Users(connection).updateOne({ _id: bobId }, { $push: { roles: 'support' } });
    await announceChange({ connection, subjects: [{ type: 'user', id: bobId }] });
    const made = { name: 'helper', permissions: ['tickets.read'] };
    expect(await refusal(bob.post(roles, made))).to.deep.equal([403, 'permission_missing', 'tickets.read']);
  });

  it('are made by an API key within its scopes', async () => {
    const { shared, bobId, globex: organizationId, withHeaders, roles } = await globex();
    const limits = { scopes: ['organization.roles.manage'], organizationId };
    const { key } = await createApiKey({ ...shared, userId: bobId, name: 'robot', ...limits });
    const program = withHeaders({ 'X-API-Key': key });
    const made = (permission: string) => program.post(roles, { name: 'new', permissions: [permission] });
    expect(await refusal(made('billing.read'))).to.deep.equal([403, 'permission_missing', 'billing.read']);
    await made('organization.roles.manage').expect(201);
    expect(await refusal(program.get(roles))).to.deep.equal([
      403,
      'permission_missing',
      'organizations.read',
    ]);
  });

  it('have a name of their own and well-formed permissions', async () => {
    const { bob, roles } = await globex();
    for (const name of ['owner', 'admin', 'member']) {
      expect(await refusal(bob.post(roles, { ...clerk, name }))).to.deep.equal([409, 'conflict', undefined]);
      expect(await refusal(bob.patch(`${roles}/${name}`, {}))).to.deep.equal([409, 'conflict', undefined]);
      expect(await refusal(bob.delete(`${roles}/${name}`))).to.deep.equal([409, 'conflict', undefined]);
    }
    const wrong = { name: 'x', permissions: ['billing.read', 'Billing', 'a..b', '*', 'a.*.b'] };
    const { body } = await bob.post(roles, wrong).expect(400);
    const paths = body.errors.map(({ path }: { path: string }) => path);
    expect(paths).to.deep.equal([1, 2, 3, 4].map((index) => `permissions.${index}`));
    for (const name of ['', ' x', '../x', 'a/b', 'x'.repeat(65), '$x', { $ne: '' }, null])
      await bob.post(roles, { name, permissions: [] }).expect(400);
    await bob.post(roles, { ...clerk, managementRules: { create: '*' } }).expect(400);
    await bob.post(roles, clerk).expect(201);
    expect(await refusal(bob.post(roles, clerk))).to.deep.equal([409, 'conflict', undefined]);
    for (const path of ['nonesuch', '%20x', '..%2Fx', '__proto__', 'constructor'])
      for (const answer of [bob.patch(`${roles}/${path}`, {}), bob.delete(`${roles}/${path}`)])
        expect((await answer).status, path).to.equal(404);
  });

  it('are made once, however many make one of a name at the same time', async () => {
    const { bob, roles } = await globex();
    const answers = await Promise.all(times(10, () => bob.post(roles, clerk)));
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 1, 409: 9 });
  });

  it('are not deleted while somebody has them, whoever is given one at the same time', async () => {
    const { shared, connection, bob, roles, globex: organizationId, adaId, give } = await globex();
    await saveRole({ ...shared, organizationId, ...clerk });
    await give('clerk');
    expect(await refusal(bob.delete(`${roles}/clerk`))).to.deep.equal([409, 'conflict', undefined]);
    await give('member');

    const here = await Memberships(connection).findOne({ user: adaId, role: 'member' }).orFail().lean();
    const assign = () =>
      transaction(connection, async (session) => {
        await holdRole(connection, session, { organization: here.organization, name: 'clerk' });
        await Memberships(connection).updateOne({ _id: here._id }, { role: 'clerk' }, { session });
      });
    for (let round = 0; round < 20; round += 1) {
      await saveRole({ ...shared, organizationId, ...clerk });
      await Memberships(connection).updateOne({ _id: here._id }, { role: 'member' });
      const [assigned, deleted] = await Promise.allSettled([
        assign(),
        deleteRole({ ...shared, organizationId, name: 'clerk' }),
      ]);
      expect([assigned.status, deleted.status].sort()).to.deep.equal(['fulfilled', 'rejected']);
      const role = await Roles(inspector()).findOne({ name: 'clerk' }).lean();
      const { role: held } = await Memberships(inspector()).findById(here._id).orFail().lean();
      expect([role !== null, held]).to.deep.equal(
        assigned.status === 'fulfilled' ? [true, 'clerk'] : [false, 'member'],
      );
    }
  });
});
