import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import {
  AuditEntries,
  AuditHeads,
  announceChange,
  createApiKey,
  Roles,
  recordAudit,
  sealAudit,
} from '../../lib/index.js';
import { administered, refusal } from '../support/admins.js';
import { type Client, inspector, portOf, secret, times } from '../support/world.js';

const missing = 'permission_missing';

type Ask = (who: Client, id: string) => ReturnType<Client['get']>;

/** Every route that needs a permission, each with its own. */
const routes: readonly (readonly [code: string, ask: Ask])[] = [
  ['admin.users.read', (who) => who.get('/admin/users')],
  ['admin.users.read', (who, id) => who.get(`/admin/users/${id}`)],
  ['admin.users.manage', (who, id) => who.post(`/admin/users/${id}/unlock`)],
  ['admin.users.manage', (who, id) => who.get(`/admin/users/${id}/sessions`)],
  ['admin.users.manage', (who, id) => who.delete(`/admin/users/${id}/sessions/0123456789abcdef01234567`)],
  ['admin.users.manage', (who, id) => who.delete(`/admin/users/${id}/sessions`)],
  ['admin.roles.read', (who) => who.get('/admin/roles')],
  ['admin.roles.read', (who) => who.get('/admin/roles/user')],
  ['admin.roles.manage', (who) => who.put('/admin/roles/new', {})],
  ['admin.roles.manage', (who) => who.delete('/admin/roles/new')],
  ['admin.organizations.read', (who) => who.get('/admin/organizations')],
  ['admin.audit.read', (who) => who.get('/admin/audit')],
  ['admin.audit.read', (who) => who.get('/admin/audit/verify')],
];

describe('the routes of administrators', () => {
  it('need the permission of each, by a global role and within the scopes of an API key', async () => {
    const { byAdmin, as, anyone, role, give, ids, shared, withHeaders } = await administered();
    const codes = [...new Set(routes.map(([code]) => code))];
    const bob = await as('bob@example.com');
    const all = await createApiKey({ ...shared, userId: ids.admin, name: 'all', scopes: ['admin.*'] });
    const none = await createApiKey({ ...shared, userId: ids.admin, name: 'none', scopes: ['admin.access'] });
    const [wide, narrow] = [all, none].map(({ key }) => withHeaders({ 'X-API-Key': key })) as [
      Client,
      Client,
    ];

    for (const [code, ask] of routes) {
      expect(await refusal(ask(bob, ids.ada)), code).to.deep.equal([403, missing, code]);
      expect(await refusal(ask(narrow, ids.ada)), code).to.deep.equal([403, missing, code]);
      expect(await refusal(ask(anyone(), ids.ada)), code).to.deep.equal([401, 'token_missing']);
    }
    for (const held of codes) {
      await role('clerk', [held]);
      await give('bob', 'clerk');
      for (const [code, ask] of routes) {
        const [status] = await refusal(ask(bob, ids.ada));
        if (code === held) expect(status, code).to.be.oneOf([200, 201, 204, 404]);
        else expect(status, `${code} by ${held}`).to.equal(403);
      }
    }
    for (const [code, ask] of routes)
      for (const who of [byAdmin, wide])
        expect((await refusal(ask(who, ids.ada)))[0], code).to.be.oneOf([200, 201, 204, 404]);
  });

  it('are not reached past their guards by another spelling of the path, another method or a role of an organization', async () => {
    const { server, as, acme, connection, ids } = await administered();
    await Roles(connection).insertMany([{ name: 'organization.owner', permissions: ['admin.*'] }]);
    await announceChange({ connection, subjects: [{ type: 'user', id: ids.ada }] });
    const { body } = await (await as('ada@example.com')).post('/auth/sign-in', {
      email: 'ada@example.com',
      password: 'lovelace-1815',
    });
    /** As a client sends it that does not tidy up paths. */
    const raw = async (method: string, path: string) => {
      const socket = connect(portOf(server), '127.0.0.1');
      socket.write(
        `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${body.accessToken}\r\n` +
          `X-Organization-Id: ${acme}\r\nX-HTTP-Method-Override: GET\r\n\r\n`,
      );
      let answer = '';
      socket.on('data', (data) => {
        answer += data;
      });
      await once(socket, 'close');
      return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
    };
    const paths = [
      '/admin/users',
      '//admin/users',
      '/admin//users',
      '/%61dmin/users',
      '/admin/%75sers',
      '/ADMIN/users',
      '/admin/users/',
    ];
    const odd = [
      '/./admin/users',
      '/x/../admin/users',
      '/admin%2Fusers',
      '/admin/users?',
      '/admin/users;x',
      '/admin/audit/verify',
      '/admin/roles/admin',
    ];
    for (const path of [...paths, ...odd])
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
        expect(await raw(method, path), `${method} ${path}`).to.be.oneOf(
          method === 'OPTIONS' ? [200, 204, 404, 405] : [400, 401, 403, 404, 405, 501],
        );
    expect(await raw('GET', '/admin/users')).to.equal(403);
    expect(await raw('HEAD', '/admin/users')).to.equal(403);
  });

  it('list every organization with its plan', async () => {
    const { byAdmin, acme, globex } = await administered();
    const { body } = await byAdmin.get('/admin/organizations').expect(200);
    const [first, second] = body.items;
    expect(first).to.have.all.keys('id', 'name', 'slug', 'plan', 'members', 'owners', 'createdAt');
    expect(first).to.include({ id: acme, slug: 'acme', plan: 'pro', owners: 1, members: 1 });
    expect(second).to.include({ id: globex, slug: 'globex', plan: 'free', owners: 1, members: 2 });
    const page = await byAdmin.get('/admin/organizations?limit=1').expect(200);
    const next = await byAdmin.get(`/admin/organizations?limit=1&cursor=${page.body.nextCursor}`).expect(200);
    expect([...page.body.items, ...next.body.items]).to.deep.equal(body.items);
    expect(next.body.nextCursor).to.equal(null);
  });
});

describe('global roles', () => {
  it('are made, shown, changed and deleted, and count on the next request', async () => {
    const { byAdmin, as, give, ids } = await administered();
    const bob = await as('bob@example.com');
    const rules = { create: ['user'], update: '*', delete: [] };
    const clerk = { permissions: ['admin.users.read'], managementRules: rules };
    const { headers, body } = await byAdmin.put('/admin/roles/clerk', clerk).expect(201);
    expect(headers.location).to.equal('/admin/roles/clerk');
    expect(body).to.deep.equal({ name: 'clerk', ...clerk });
    await give('bob', 'clerk');
    await bob.get('/admin/users').expect(200);
    await bob.patch(`/admin/users/${ids.ada}`, { name: 'A' }).expect(200);
    expect((await byAdmin.get('/admin/roles/clerk').expect(200)).body).to.deep.equal(body);
    const emptied = await byAdmin.put('/admin/roles/clerk', {}).expect(200);
    expect(emptied.body).to.deep.equal({ name: 'clerk', permissions: [], managementRules: null });
    expect(await refusal(bob.get('/admin/users'))).to.deep.equal([403, missing, 'admin.users.read']);
    expect(await refusal(bob.patch(`/admin/users/${ids.ada}`, {}))).to.deep.equal([
      403,
      missing,
      'users.update:user',
    ]);
    const { items } = (await byAdmin.get('/admin/roles').expect(200)).body;
    expect(items.map(({ name }: { name: string }) => name)).to.deep.equal(['admin', 'user', 'clerk']);
    expect(await refusal(byAdmin.delete('/admin/roles/clerk'))).to.deep.equal([409, 'conflict']);
    await give('bob', 'user');
    await byAdmin.delete('/admin/roles/clerk').expect(204);
    for (const answer of [byAdmin.get('/admin/roles/clerk'), byAdmin.delete('/admin/roles/clerk')])
      expect(await refusal(answer)).to.deep.equal([404, 'not_found']);
  });

  it('hold no permission, and give no management rule, that their author lacks', async () => {
    const { as, role, give } = await administered();
    await role('clerk', ['admin.roles.*', 'reports.read'], {
      create: ['user'],
      update: ['user', 'editor'],
      delete: [],
    });
    await role('boss', ['billing.manage']);
    await give('bob', 'clerk');
    const bob = await as('bob@example.com');
    const put = (name: string, body: object) => bob.put(`/admin/roles/${name}`, body);
    const lacks = (code: string) => [403, missing, code];
    expect(await refusal(put('new', { permissions: ['reports.read', 'admin.users.read'] }))).to.deep.equal(
      lacks('admin.users.read'),
    );
    expect(await refusal(put('clerk', { permissions: ['admin.*'] }))).to.deep.equal(lacks('admin.*'));
    expect(await refusal(put('user', { permissions: ['admin.users.manage'] }))).to.deep.equal(
      lacks('admin.users.manage'),
    );
    const rules = (managementRules: object) =>
      refusal(put('clerk', { permissions: ['admin.roles.*'], managementRules }));
    expect(await rules({ create: '*' })).to.deep.equal(lacks('users.create:*'));
    expect(await rules({ update: ['user', 'admin'] })).to.deep.equal(lacks('users.update:admin'));
    expect(await rules({ delete: ['user'] })).to.deep.equal(lacks('users.delete:user'));
    await put('boss', { permissions: ['billing.manage', 'reports.read'] }).expect(200);
    const made = await put('new', {
      permissions: ['reports.read'],
      managementRules: { update: ['editor'] },
    }).expect(201);
    expect(made.body.managementRules).to.deep.equal({ create: [], update: ['editor'], delete: [] });
  });

  it('leave administrators what they need to mend anything, and new users their role', async () => {
    const { byAdmin, as, role, give } = await administered();
    for (const permissions of [[], ['admin.roles.manage'], ['admin.users.*', 'admin.roles.*']])
      expect(await refusal(byAdmin.put('/admin/roles/admin', { permissions }))).to.deep.equal([
        409,
        'conflict',
      ]);
    await role('clerk', ['admin.roles.manage']);
    await give('bob', 'clerk');
    const bob = await as('bob@example.com');
    expect(await refusal(bob.put('/admin/roles/admin', {}))).to.deep.equal([409, 'conflict']);
    for (const name of ['admin', 'user'])
      expect(await refusal(byAdmin.delete(`/admin/roles/${name}`))).to.deep.equal([409, 'conflict']);
    await byAdmin.put('/admin/roles/admin', { permissions: ['admin.*', 'admin.extra.read'] }).expect(200);
  });

  it('have well-formed names, permissions and rules', async () => {
    const { byAdmin } = await administered();
    const { body } = await byAdmin.put('/admin/roles/x', { permissions: ['admin.a', 'A', '*'] }).expect(400);
    expect(body.errors.map(({ path }: { path: string }) => path)).to.deep.equal([
      'permissions.1',
      'permissions.2',
    ]);
    for (const managementRules of [
      '*',
      { create: 'user' },
      { create: [1] },
      { other: '*' },
      { create: { $ne: [] } },
    ])
      await byAdmin.put('/admin/roles/x', { managementRules }).expect(400);
    for (const name of ['%20x', '$x', 'x'.repeat(65), '..%2Fx', '__proto__'])
      expect((await byAdmin.put(`/admin/roles/${name}`, {})).status, name).to.equal(400);
  });
});

describe('the audit log for administrators', () => {
  it('is searched by what was done, by whom, to whom, where and when, the newest first', async () => {
    const { byAdmin, ids, connection } = await administered();
    await AuditEntries(inspector()).deleteMany({});
    const organizations = await connection.collection('organizations').find().sort({ _id: 1 }).toArray();
    const acme = organizations[0]?._id;
    const at = new Date('2030-01-01T12:00:00Z');
    for (const index of times(5, (index) => index)) {
      await recordAudit({
        connection,
        action: `test.${index % 2 ? 'odd' : 'even'}`,
        actor: index < 3 ? ids.ada : ids.bob,
        target: { type: 'thing', id: `t${index}` },
        ...(index === 4 && { organization: acme }),
        details: { index },
      });
    }
    await AuditEntries(inspector()).updateMany({ 'details.index': { $lte: 2 } }, { at });
    const found = async (query: string) => {
      const indexes: number[] = [];
      for (let cursor = ''; ; ) {
        const { body } = await byAdmin.get(`/admin/audit?limit=2&${query}${cursor}`).expect(200);
        indexes.push(...body.items.map(({ details }: { details: { index: number } }) => details.index));
        if (body.nextCursor === null) return indexes;
        cursor = `&cursor=${body.nextCursor}`;
      }
    };
    expect(await found('')).to.deep.equal([2, 1, 0, 4, 3]);
    expect(await found('action=test.odd')).to.deep.equal([1, 3]);
    expect(await found(`actor=${ids.ada}`)).to.deep.equal([2, 1, 0]);
    expect(await found(`actor=${ids.bob}&action=test.even`)).to.deep.equal([4]);
    expect(await found(`organizationId=${acme}`)).to.deep.equal([4]);
    expect(await found('organizationId=nonsense')).to.deep.equal([]);
    expect(await found('q=test.even')).to.deep.equal([2, 0, 4]);
    expect(await found('q=t3')).to.deep.equal([3]);
    expect(await found(`q=${ids.ada}&action=test.odd`)).to.deep.equal([1]);
    expect(await found('from=2030-01-01')).to.deep.equal([2, 1, 0]);
    expect(await found('to=2030-01-01T12:00:00Z')).to.deep.equal([4, 3]);
    expect(await found('from=2030-01-01T12:00:00Z&to=2030-01-01T12:00:01Z&q=test.even')).to.deep.equal([
      2, 0,
    ]);
    for (const query of ['from=yesterday', 'from=2030-01-01T12:00', 'actor[$ne]=x', 'cursor=x', 'sort=at'])
      expect(await refusal(byAdmin.get(`/admin/audit?${query}`)), query).to.deep.equal([
        400,
        'validation_failed',
      ]);
  });

  it('is verified whole, and tells in which chain something was changed', async () => {
    const { byAdmin, connection, acme } = await administered();
    await sealAudit({ connection, keys: [secret] });
    const first = (await byAdmin.get('/admin/audit/verify').expect(200)).body;
    expect(first).to.deep.include({ ok: true, problems: [] });
    expect(first.checked).to.be.greaterThan(0);
    const { _id } = await AuditEntries(inspector()).findOne({ action: 'user.signed-in' }).orFail().lean();
    await AuditEntries(inspector()).updateOne({ _id }, { actor: 'nobody' });
    const entry = {
      connection,
      action: 'test.done',
      organization: (await connection.collection('organizations').findOne({ slug: 'acme' }))?._id,
    };
    await recordAudit(entry);
    await sealAudit({ connection, keys: [secret] });
    await AuditHeads(inspector()).deleteOne({ _id: acme });
    const { body } = await byAdmin.get('/admin/audit/verify').expect(200);
    expect(body.ok).to.equal(false);
    expect(body.problems).to.deep.equal([
      { id: String(_id), problem: 'edited', organizationId: null },
      { id: null, problem: 'head-missing', organizationId: acme },
    ]);
  });
});
