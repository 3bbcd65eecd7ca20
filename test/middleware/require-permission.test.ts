import Router from '@koa/router';
import { expect } from 'chai';
import Koa, { type Middleware } from 'koa';
import {
  announceChange,
  authenticate,
  authRouter,
  checkPermission,
  createApiKey,
  Memberships,
  organization,
  problems,
  Roles,
  requireOrganizationRole,
  requirePermission,
  rolesOf,
  type SharedOptions,
  saveRole,
  Users,
} from '../../lib/index.js';
import { changeFeed } from '../../lib/runtime/change-feed.js';
import { watchCommands } from '../support/commands.js';
import { type Client, clientsOf, connect, serve, until, world } from '../support/world.js';

const ok: Middleware = (ctx) => {
  ctx.body = {};
};

/** The application's own roles: support in the whole of it, and what owners and members may do in an organization. */
async function withRoles() {
  const given = await world();
  const { connection, globex } = given;
  await Roles(connection).insertMany([
    { name: 'support', permissions: ['tickets.*', 'reports.read'] },
    { name: 'organization.owner', permissions: ['projects.*'] },
    { name: 'organization.member', permissions: ['projects.read'] },
    { name: 'editor', organization: globex, permissions: ['projects.write'] },
  ]);
  await Users(connection).updateOne({ email: 'ada@example.com' }, { $push: { roles: 'support' } });
  const userId = async (name: string) => {
    const found = await Users(connection)
      .findOne({ email: `${name}@example.com` })
      .orFail()
      .lean();
    return String(found._id);
  };
  return { ...given, userId };
}

async function guarded(shared: SharedOptions, routes: Record<string, readonly Middleware[]>) {
  const router = new Router();
  for (const [path, guards] of Object.entries(routes)) router.get(path, ...guards, ok);
  const app = new Koa();
  const emitted: Error[] = [];
  app.on('error', (error: Error) => emitted.push(error));
  app.use(problems()).use(authRouter(shared).routes()).use(router.routes());
  return { ...clientsOf(await serve(app)), emitted };
}

const codeRoutes = (shared: SharedOptions, codes: readonly string[]) =>
  Object.fromEntries(
    codes.flatMap((code) => [
      [`/global/${code}`, [authenticate(shared), requirePermission(code)]],
      [`/here/${code}`, [authenticate(shared), organization(), requirePermission(code)]],
    ]),
  );

/** Which of the routes a client is let through, as `here` or `global` with the code; all others refuse with the code that they need. */
async function admitted(client: Client, codes: readonly string[], organizationId: string) {
  const routes = codes.flatMap((code) => [`global/${code}`, `here/${code}`]);
  const through: string[] = [];
  for (const route of routes) {
    const { status, body } = await client.get(`/${route}`).set('X-Organization-Id', organizationId);
    const requiredPermission = route.split('/')[1];
    if (status === 200) through.push(route);
    else
      expect({ status, ...body }).to.include({ status: 403, code: 'permission_missing', requiredPermission });
  }
  return through;
}

describe('requirePermission()', () => {
  it('counts global roles everywhere, and the role in an organization there alone', async () => {
    const { shared, acme, globex } = await withRoles();
    const codes = ['tickets.close.all', 'tickets', 'organization.manage', 'projects.write', 'projects.read'];
    const { as } = await guarded(shared, codeRoutes(shared, codes));
    const [ada, bob] = [await as('ada@example.com'), await as('bob@example.com')];

    expect(await admitted(ada, codes, acme)).to.deep.equal([
      'global/tickets.close.all',
      'here/tickets.close.all',
      'here/organization.manage',
      'here/projects.write',
      'here/projects.read',
    ]);
    expect(await admitted(ada, codes, globex)).to.deep.equal([
      'global/tickets.close.all',
      'here/tickets.close.all',
      'here/projects.read',
    ]);
    expect(await admitted(bob, codes, globex)).to.deep.equal([
      'here/organization.manage',
      'here/projects.write',
      'here/projects.read',
    ]);
    await bob.get('/here/projects.read').set('X-Organization-Id', acme).expect(404);
  });

  it('gives the administrators of an organization what they are promised, and its own roles what it says', async () => {
    const { shared, connection, globex, userId } = await withRoles();
    const held = async (role: string) => {
      const ada = await userId('ada');
      await Memberships(connection).updateOne({ organization: globex, user: ada }, { role });
      await announceChange({ connection, subjects: [{ type: 'user', id: ada }] });
      const { organizationRole, permissions } = await rolesOf({
        ...shared,
        userId: ada,
        organizationId: globex,
      });
      expect(organizationRole).to.equal(role);
      return permissions.filter((code) => !['tickets.*', 'reports.read'].includes(code));
    };
    expect(await held('owner')).to.deep.equal(['billing.*', 'organization.*', 'projects.*']);
    expect(await held('admin')).to.deep.equal([
      'billing.read',
      'organization.audit.read',
      'organization.invitations.manage',
      'organization.members.manage',
      'organization.teams.manage',
    ]);
    expect(await held('member')).to.deep.equal(['projects.read']);
    expect(await held('editor')).to.deep.equal(['projects.write']);
    expect(await held('nonesuch')).to.deep.equal([]);
  });

  it('wants all of several, and tells the first that is missing', async () => {
    const { shared } = await withRoles();
    const { as, anyone } = await guarded(shared, {
      '/both': [authenticate(shared), requirePermission(['tickets.read', 'reports.read'])],
      '/one': [authenticate(shared), requirePermission(['reports.read', 'images.write', 'images.read'])],
    });
    const ada = await as('ada@example.com');
    await ada.get('/both').expect(200);
    const { body } = await ada.get('/one').expect(403);
    expect(body).to.include({ code: 'permission_missing', requiredPermission: 'images.write' });
    expect((await anyone().get('/both').expect(401)).body.code).to.equal('token_missing');
  });

  it('counts no role in an organization where only global ones are to count', async () => {
    const { shared, acme } = await withRoles();
    const global = (code: string) => requirePermission(code, { global: true });
    const { as } = await guarded(shared, {
      '/tickets': [authenticate(shared), organization(), global('tickets.read')],
      '/billing': [authenticate(shared), organization(), global('billing.read')],
    });
    const ada = await as('ada@example.com', { 'X-Organization-Id': acme });
    await ada.get('/tickets').expect(200);
    await ada.get('/billing').expect(403);
  });

  it('lets an API key do no more than its scopes and its organization leave of what its user may', async () => {
    const { shared, acme, userId } = await withRoles();
    const codes = ['tickets.read', 'tickets.close', 'projects.read', 'images.write'];
    const { withHeaders } = await guarded(shared, codeRoutes(shared, codes));
    const by = async (limits: object) => {
      const { key } = await createApiKey({
        ...shared,
        userId: await userId('ada'),
        name: 'robot',
        ...limits,
      });
      return admitted(withHeaders({ 'X-API-Key': key }), codes, acme);
    };
    expect(await by({ scopes: ['tickets.read', 'images.*'] })).to.deep.equal([
      'global/tickets.read',
      'here/tickets.read',
    ]);
    expect(await by({ scopes: ['projects.*'] })).to.deep.equal(['here/projects.read']);
    expect(await by({})).to.deep.equal([
      'global/tickets.read',
      'here/tickets.read',
      'global/tickets.close',
      'here/tickets.close',
      'here/projects.read',
    ]);
  });

  it('refuses an API key that is for one organization wherever the request is about none', async () => {
    const { shared, acme, userId } = await withRoles();
    const codes = ['tickets.read'];
    const { withHeaders } = await guarded(shared, codeRoutes(shared, codes));
    const made = { userId: await userId('ada'), name: 'robot', organizationId: acme };
    const program = withHeaders({ 'X-API-Key': (await createApiKey({ ...shared, ...made })).key });
    await program.get('/here/tickets.read').expect(200);
    const { body } = await program.get('/global/tickets.read').expect(403);
    expect(body.code).to.equal('permission_missing');
  });

  it('asks the database nothing where the rights are known, and hears of every change', async () => {
    const { shared: given, globex, userId } = await withRoles();
    const connection = await connect(undefined, { monitorCommands: true });
    const shared = { ...given, connection };
    const { as } = await guarded(shared, codeRoutes(shared, ['projects.write']));
    const ada = await as('ada@example.com', { 'X-Organization-Id': globex });
    const asked = () => ada.get('/here/projects.write');
    const commands = watchCommands(connection);
    await asked().expect(403);
    expect(commands).not.to.deep.equal([]);
    await until(async () => {
      commands.length = 0;
      await asked().expect(403);
      return commands.length === 0;
    });

    const user = await userId('ada');
    const change = async (role: string) => {
      await Memberships(connection).updateOne({ organization: globex, user }, { role });
      await announceChange({ connection, subjects: [{ type: 'user', id: user }] });
    };
    await change('editor');
    await asked().expect(200);
    await Roles(connection).updateOne({ organization: globex, name: 'editor' }, { permissions: [] });
    await announceChange({ connection, subjects: [{ type: 'organization', id: globex }] });
    await asked().expect(403);
    await change('owner');
    await asked().expect(200);
  });

  it('reads the rights for every request in strict mode', async () => {
    const { shared, connection, globex, userId } = await withRoles();
    const { as } = await guarded(
      { ...shared, strict: true },
      codeRoutes({ ...shared, strict: true }, ['projects.write']),
    );
    const ada = await as('ada@example.com', { 'X-Organization-Id': globex });
    await ada.get('/here/projects.write').expect(403);
    const membership = { organization: globex, user: await userId('ada') };
    await Memberships(connection).updateOne(membership, { role: 'editor' });
    await ada.get('/here/projects.write').expect(200);
    await Roles(connection).updateOne(
      { organization: globex, name: 'editor' },
      { permissions: ['projects.read'] },
    );
    await ada.get('/here/projects.write').expect(403);
  });

  it('refuses to be made without a code, or with a wildcard', () => {
    const misused = requirePermission as unknown as (codes: unknown, options?: unknown) => unknown;
    for (const codes of ['', '*', 'images.*', 'Images', 'a..b', [], ['images', 'b.*'], undefined, {}, 7])
      expect(() => misused(codes), JSON.stringify(codes)).to.throw(TypeError, /requirePermission\(\)/);
    expect(() => misused('images', { globally: true })).to.throw(TypeError, /globally/);
  });
});

describe('checkPermission()', () => {
  it('answers like the guard, for whoever has no request', async () => {
    const { shared, globex, acme, userId } = await withRoles();
    const [ada, bob] = [await userId('ada'), await userId('bob')];
    const may = (userId: string, permission: string, organizationId?: string) =>
      checkPermission({ ...shared, userId, permission, organizationId });
    expect(await may(ada, 'tickets.read')).to.equal(true);
    expect(await may(ada, 'tickets.*')).to.equal(true);
    expect(await may(ada, 'projects.read', globex)).to.equal(true);
    expect(await may(ada, 'projects.write', globex)).to.equal(false);
    expect(await may(bob, 'projects.*', globex)).to.equal(true);
    expect(await may(bob, 'projects.read', acme)).to.equal(false);
    expect(await may(bob, 'projects.read')).to.equal(false);
    expect(await may(bob, 'projects.read', 'no id')).to.equal(false);
    expect(await may('nobody', 'projects.read')).to.equal(false);
    await Users(shared.connection).updateOne({ _id: ada }, { status: 'inactive' });
    expect(
      await checkPermission({ ...shared, strict: true, userId: ada, permission: 'tickets.read' }),
    ).to.equal(false);
    for (const permission of ['', '*', 'A.b', 'a.*.b'])
      await may(ada, permission).then(
        () => expect.fail(`${permission} is no code`),
        (error) =>
          expect(error)
            .to.be.instanceOf(TypeError)
            .with.property('message')
            .that.matches(/permission/),
      );
  });

  it('hears of a change in whatever letters the id of the organization is written', async () => {
    const { shared, globex: organizationId, userId } = await withRoles();
    const { connection } = shared;
    const ada = await userId('ada');
    await Memberships(connection).updateOne({ organization: organizationId, user: ada }, { role: 'editor' });
    await until(() => changeFeed(connection).isLive());
    const here = [organizationId, organizationId.toUpperCase()];
    const may = () =>
      Promise.all(
        here.map((each) =>
          checkPermission({ ...shared, userId: ada, organizationId: each, permission: 'projects.write' }),
        ),
      );
    const held = async (each: string) =>
      (await rolesOf({ ...shared, userId: ada, organizationId: each })).permissions;
    expect(await may()).to.deep.equal([true, true]);
    await saveRole({ ...shared, organizationId, name: 'editor', permissions: ['projects.read'] });
    expect(await may()).to.deep.equal([false, false]);
    for (const each of here) expect(await held(each)).to.include('projects.read');
  });

  it('takes no role that only adds to one of organizations for a role of users', async () => {
    const { shared, userId } = await withRoles();
    const bob = await userId('bob');
    await Users(shared.connection).updateOne({ _id: bob }, { $push: { roles: 'organization.owner' } });
    expect(
      await checkPermission({ ...shared, strict: true, userId: bob, permission: 'projects.read' }),
    ).to.equal(false);
  });
});

describe('requireOrganizationRole()', () => {
  it('lets in whoever has one of the roles in the organization that the request is about', async () => {
    const { shared, acme, globex } = await world();
    const { as, anyone } = await guarded(shared, {
      '/owners': [authenticate(shared), organization(), requireOrganizationRole('owner')],
      '/all': [authenticate(shared), organization(), requireOrganizationRole('owner', 'member')],
      '/maybe': [authenticate(shared), organization({ optional: true }), requireOrganizationRole('owner')],
    });
    const ada = await as('ada@example.com');
    const at = (path: string, id: string) => ada.get(path).set('X-Organization-Id', id);
    await at('/owners', acme).expect(200);
    await at('/all', globex).expect(200);
    const { body } = await at('/owners', globex).expect(403);
    expect(body).to.deep.include({ code: 'role_missing', requiredRoles: ['owner'] });
    expect((await ada.get('/maybe').expect(400)).body.code).to.equal('organization_required');
    expect((await anyone().get('/owners').expect(401)).body.code).to.equal('token_missing');
  });

  it('answers 500, and says what is missing to the log alone, without organization()', async () => {
    const { shared } = await world();
    const { as, emitted } = await guarded(shared, {
      '/bare': [authenticate(shared), requireOrganizationRole('owner')],
    });
    const { body } = await (await as('ada@example.com')).get('/bare').expect(500);
    expect(body.code).to.equal('internal');
    expect(JSON.stringify(body)).not.to.include('organization()');
    expect(String(emitted[0]?.message)).to.include('organization()');
  });

  it('refuses to be made without a role', () => {
    const misused = requireOrganizationRole as unknown as (...roles: unknown[]) => unknown;
    for (const roles of [[], [''], [undefined], [['owner']]])
      expect(() => misused(...roles), JSON.stringify(roles)).to.throw(
        TypeError,
        /requireOrganizationRole\(\)/,
      );
  });
});
