import { execFile } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import Router from '@koa/router';
import { expect } from 'chai';
import Koa, { type Middleware } from 'koa';
import { Types } from 'mongoose';
import {
  assignPlan,
  authenticate,
  authRouter,
  createOrganization,
  createUser,
  entitlementsOf,
  Memberships,
  organization,
  organizationRouter,
  problems,
  requireAllEntitlements,
  requireAnyEntitlement,
  requireEntitlement,
  requireRole,
  type SharedOptions,
  syncPlans,
  Teams,
  team,
  Users,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { type Client, clientsOf, connect, emptyWorld, serve, times, until, world } from '../support/world.js';

const nobodysId = '0123456789abcdef01234567';

/** Answers with what the guards before it have found. */
const show: Middleware = (ctx) => {
  const { user, session, apiKey, credential, factors, claims, requestId, ...found } = ctx.state;
  ctx.body = found;
};

/** An application with these routes beside `/auth`, clients for it, and the errors that it emits. */
async function guarded(shared: SharedOptions, routes: Record<string, readonly Middleware[]>) {
  const router = new Router();
  for (const [path, guards] of Object.entries(routes)) router.get(path, ...guards, show);
  const app = new Koa();
  const emitted: Error[] = [];
  app.on('error', (error: Error) => emitted.push(error));
  app.use(problems()).use(authRouter(shared).routes()).use(router.routes());
  const server = await serve(app);
  const { port } = server.address() as AddressInfo;
  return { ...clientsOf(server), emitted, url: `http://127.0.0.1:${port}` };
}

const inOrganization = (id: string) => ({ 'X-Organization-Id': id });
const get = (client: Client, path: string, headers: Record<string, string> = {}) =>
  client.get(path).set(headers);

/** What the client learns, the request's own id aside. */
async function refusal(answer: PromiseLike<{ status: number; body: Record<string, unknown> }>) {
  const { body } = await answer;
  const { requestId, ...rest } = body;
  return rest;
}

describe('requireRole()', () => {
  it('lets in whoever holds the role, or one of several', async () => {
    const { shared } = await world();
    const signedIn = authenticate(shared);
    const { as, anyone } = await guarded(shared, {
      '/one': [signedIn, requireRole('designer')],
      '/several': [signedIn, requireRole('admin', 'designer')],
    });
    const [ada, bob, admin] = await Promise.all(
      ['ada', 'bob', 'admin'].map((who) => as(`${who}@example.com`)),
    );

    await get(ada as Client, '/one').expect(200);
    await get(ada as Client, '/several').expect(200);
    await get(admin as Client, '/several').expect(200);
    const { body } = await get(bob as Client, '/several').expect(403);
    expect(body).to.include({ code: 'role_missing' });
    expect(body.requiredRoles).to.deep.equal(['admin', 'designer']);
    expect((await get(admin as Client, '/one').expect(403)).body.code).to.equal('role_missing');
    expect((await get(anyone(), '/one').expect(401)).body.code).to.equal('token_missing');
  });

  it('refuses with 401 where authenticate() is missing, and where nobody is signed in', async () => {
    const { shared } = await emptyWorld();
    const { anyone } = await guarded(shared, {
      '/bare': [requireRole('user')],
      '/optional': [authenticate({ ...shared, optional: true }), requireRole('user')],
    });
    for (const path of ['/bare', '/optional']) {
      const { body } = await get(anyone(), path)
        .expect(401)
        .expect('WWW-Authenticate', /^Bearer/);
      expect(body.code, path).to.equal('token_missing');
    }
  });

  it('refuses to be made without a role', () => {
    const misused = requireRole as unknown as (...roles: unknown[]) => unknown;
    for (const roles of [[], [''], [undefined], [['admin']], ['admin', 7]])
      expect(() => misused(...roles), JSON.stringify(roles)).to.throw(TypeError, /requireRole\(\).*'admin'/);
  });
});

describe('organization()', () => {
  const routes = (shared: SharedOptions) => {
    const signedIn = authenticate(shared);
    return {
      '/here': [signedIn, organization()],
      '/maybe': [signedIn, organization({ optional: true })],
      '/of/:organizationId': [signedIn, organization()],
      '/bare': [organization()],
    };
  };

  it('takes the one in the path, else in the header, else the only one', async () => {
    const { shared, acme, globex } = await world();
    const { as } = await guarded(shared, routes(shared));
    const [ada, bob] = [await as('ada@example.com'), await as('bob@example.com')];

    const { body } = await get(ada, '/here', inOrganization(acme)).expect(200);
    const teams = await Teams(shared.connection).find({ organization: acme }).sort({ _id: 1 }).lean();
    expect(body).to.deep.equal({
      organization: { id: acme, name: 'Acme', slug: 'acme', role: 'owner', plan: 'pro' },
      membership: { role: 'owner', teamIds: teams.map(({ _id }) => String(_id)), currentTeamId: null },
    });
    const byPath = await get(ada, `/of/${globex}`, inOrganization(acme)).expect(200);
    expect(byPath.body.organization).to.include({ slug: 'globex', role: 'member', plan: 'free' });
    const only = await get(bob, '/here').expect(200);
    expect(only.body.organization).to.include({ slug: 'globex', role: 'owner' });
    const upperCase = await get(ada, `/of/${acme.toUpperCase()}`).expect(200);
    expect(upperCase.body.organization.id).to.equal(acme);
  });

  it('asks for one of several, and of none unless it is optional, and notices a new membership', async () => {
    const { shared } = await world();
    const { as } = await guarded(shared, routes(shared));
    for (const email of ['ada@example.com', 'admin@example.com']) {
      const client = await as(email);
      const { body } = await get(client, '/here').expect(400);
      expect(body).to.include({ code: 'organization_required' });
      expect(body.detail).to.include('X-Organization-Id');
      await get(client, '/here', inOrganization('')).expect(400);
      await get(client, '/maybe').expect(200, { organization: null, membership: null });
    }
    const bob = await as('bob@example.com');
    const only = await get(bob, '/maybe').expect(200);
    expect(only.body.organization.slug).to.equal('globex');

    const { _id } = await Users(shared.connection).findOne({ email: 'bob@example.com' }).orFail().lean();
    await createOrganization({ ...shared, name: 'Initech', slug: 'initech', owner: String(_id) });
    await get(bob, '/here').expect(400);
  });

  it('says the same of a foreign, an unknown and a malformed one, also to HEAD', async () => {
    const { shared, acme } = await world();
    const { signIn, withHeaders, anyone, url } = await guarded(shared, routes(shared));
    const { body } = await signIn('bob@example.com');
    const headers = { Authorization: `Bearer ${body.accessToken}` };
    const bob = withHeaders(headers);
    const foreign = await refusal(get(bob, `/of/${acme}`).expect(404));

    expect(foreign).to.include({ code: 'not_found', status: 404 });
    for (const id of [nobodysId, 'nonsense', '7', `${acme}0`, '%00', 'acme', '{"$ne":null}'])
      expect(await refusal(get(bob, `/of/${encodeURIComponent(id)}`).expect(404)), id).to.deep.equal(foreign);
    for (const path of ['/here', '/maybe'])
      for (const id of [acme, nobodysId, 'nonsense', `${acme}, ${acme}`])
        expect(await refusal(get(bob, path, inOrganization(id)).expect(404)), id).to.deep.equal(foreign);

    const head = async (path: string) => (await fetch(url + path, { method: 'HEAD', headers })).status;
    expect(await head('/here')).to.equal(200);
    expect(await head(`/of/${acme}`)).to.equal(404);
    expect((await get(anyone(), '/bare').expect(401)).body.code).to.equal('token_missing');
  });
});

describe('team()', () => {
  /** Ada's two teams in Acme, one of Acme that she is not in, and one of Globex. */
  async function teamsOf(shared: SharedOptions, acme: string, globex: string) {
    const teams = Teams(shared.connection);
    const [red, blue] = await teams.find({ organization: acme }).sort({ name: -1 }).lean();
    const [green, grey] = await teams.insertMany([
      { organization: acme, name: 'green' },
      { organization: globex, name: 'grey' },
    ]);
    return [red, blue, green, grey].map((found) => String(found?._id)) as [string, string, string, string];
  }
  const mine = (connection: SharedOptions['connection'], organization: string, currentTeam: string) =>
    Memberships(connection).updateOne({ organization, role: 'owner' }, { currentTeam });
  const routes = (shared: SharedOptions) => {
    const signedIn = authenticate(shared);
    const where = [organization({ optional: true }), team()];
    return {
      '/here': [signedIn, ...where],
      '/of/:teamId': [signedIn, ...where],
      '/unplaced': [signedIn, team()],
      '/bare': [team()],
    };
  };

  it('takes the one in the path, else in the header, else the current one, else none', async () => {
    const { shared, acme, globex } = await world();
    const [red, blue] = await teamsOf(shared, acme, globex);
    const { as } = await guarded(shared, routes(shared));
    const ada = await as('ada@example.com', inOrganization(globex));
    const nowhere = await as('ada@example.com');

    expect((await get(ada, '/here').expect(200)).body.team).to.equal(null);
    expect((await get(nowhere, '/here').expect(200)).body.team).to.equal(null);
    await mine(shared.connection, acme, blue);
    const here = inOrganization(acme);
    expect((await get(ada, '/here', here).expect(200)).body.team).to.deep.equal({ id: blue, name: 'blue' });
    const byHeader = await get(ada, '/here', { ...here, 'X-Team-Id': red.toUpperCase() }).expect(200);
    expect(byHeader.body.team).to.deep.equal({ id: red, name: 'red' });
    const byPath = await get(ada, `/of/${red}`, { ...here, 'X-Team-Id': blue }).expect(200);
    expect(byPath.body.team.name).to.equal('red');
  });

  it("says the same of another organization's, one without the user, an unknown and a malformed one", async () => {
    const { shared, acme, globex } = await world();
    const [red, , green, grey] = await teamsOf(shared, acme, globex);
    await Memberships(shared.connection).updateOne(
      { organization: acme, role: 'owner' },
      { $push: { teams: grey } },
    );
    const { as } = await guarded(shared, routes(shared));
    const ada = await as('ada@example.com', inOrganization(acme));
    const foreign = await refusal(get(ada, `/of/${grey}`).expect(404));

    expect(foreign).to.include({ code: 'not_found' });
    for (const id of [green, nobodysId, 'nonsense', acme]) {
      expect(await refusal(get(ada, `/of/${id}`).expect(404)), id).to.deep.equal(foreign);
      expect(await refusal(get(ada, '/here', { 'X-Team-Id': id }).expect(404)), id).to.deep.equal(foreign);
    }
    await get(ada, '/here', { 'X-Organization-Id': '', 'X-Team-Id': red }).expect(404);
  });

  it('refuses with 500 without organization(), and names it to the log only; with 401 without authenticate()', async () => {
    const { shared } = await world();
    const { as, anyone, emitted } = await guarded(shared, routes(shared));
    const { text, body } = await get(await as('bob@example.com'), '/unplaced').expect(500);
    expect(body.code).to.equal('internal');
    expect(text).not.to.match(/organization\(\)|team/);
    expect(emitted.map(({ message }) => message).join()).to.match(/team\(\).*organization\(\)/);
    await get(anyone(), '/bare').expect(401);
  });
});

describe('the entitlement guards', () => {
  it('ask about the organization, else the user, or about whom they are told', async () => {
    const { shared, acme, globex } = await world();
    const where = [authenticate(shared), organization({ optional: true })];
    const query = <T>(value: T) =>
      // biome-ignore lint/suspicious/noThenProperty: queries of Mongoose's are such, and no promises
      ({ then: (give: (value: T) => void) => give(value) }) as unknown as Promise<T>;
    const asking = (subject?: Parameters<typeof requireEntitlement>[1]) =>
      [...where, requireEntitlement('reports', subject)] as const;
    const { as } = await guarded(shared, {
      '/default': asking(),
      '/user': asking({ subject: 'user' }),
      '/organization': asking({ subject: 'organization' }),
      '/acme': asking({ subject: () => ({ type: 'organization', id: acme }) }),
      '/query': asking({ subject: () => query({ type: 'organization', id: acme }) }),
    });
    const ada = await as('ada@example.com');
    const status = async (path: string, id?: string) =>
      (await get(ada, path, id ? inOrganization(id) : {})).status;

    expect(await status('/default', acme)).to.equal(200);
    expect(await status('/default', globex)).to.equal(403);
    expect(await status('/default')).to.equal(403);
    expect(await status('/user', acme)).to.equal(403);
    expect(await status('/organization', acme)).to.equal(200);
    expect(await status('/acme', globex)).to.equal(200);
    expect(await status('/query', globex)).to.equal(200);
    const none = await get(ada, '/organization').expect(400);
    expect(none.body.code).to.equal('organization_required');

    const { body } = await get(ada, '/default', inOrganization(acme));
    expect(body.entitlements).to.deep.equal(['images', 'reports', 'searches', 'tokens']);
    expect(body.tier).to.equal(1);
    expect(body.limits).to.deep.equal({ reports: null, images: 100, searches: 1000, tokens: 100_000 });
  });

  it('say what is missing, the tier at hand and whether an upgrade would help', async () => {
    const { shared, globex } = await world();
    const where = [authenticate(shared), organization()];
    const { as } = await guarded(shared, {
      '/reports': [...where, requireEntitlement('reports')],
      '/teleport': [...where, requireEntitlement('teleport')],
      '/any': [...where, requireAnyEntitlement(['teleport', 'reports'])],
      '/any-had': [...where, requireAnyEntitlement(['teleport', 'images'])],
      '/all': [...where, requireAllEntitlements(['images', 'reports', 'teleport'])],
      '/all-had': [...where, requireAllEntitlements(['images', 'tokens'])],
    });
    const bob = await as('bob@example.com', inOrganization(globex));

    for (const [path, requiredEntitlement, upgradeRequired] of [
      ['/reports', 'reports', true],
      ['/teleport', 'teleport', false],
      ['/any', ['teleport', 'reports'], true],
      ['/all', ['reports', 'teleport'], true],
    ] as const) {
      const { body } = await get(bob, path).expect(403);
      expect(body).to.deep.include({ code: 'entitlement_missing', requiredEntitlement, currentTier: 0 });
      expect(body.upgradeRequired, path).to.equal(upgradeRequired);
    }
    await get(bob, '/any-had').expect(200);
    await get(bob, '/all-had').expect(200);
  });

  it('refuse with 500 where what finds their subject is missing, and name it to the log only', async () => {
    const { shared } = await world();
    const signedIn = authenticate(shared);
    const { as, anyone, emitted } = await guarded(shared, {
      '/organization': [signedIn, requireEntitlement('images', { subject: 'organization' })],
      '/team': [signedIn, requireAnyEntitlement(['images'], { subject: 'team' })],
      '/bare': [requireAllEntitlements(['images'])],
    });
    const bob = await as('bob@example.com');
    for (const missing of ['organization', 'team']) {
      const { body, text } = await get(bob, `/${missing}`).expect(500);
      expect(body.code).to.equal('internal');
      expect(text).not.to.include(missing);
      expect(emitted.at(-1)?.message).to.include(`${missing}()`);
    }
    await get(anyone(), '/bare').expect(401);
  });

  it('refuse to be made without a code', () => {
    const misused: readonly (() => unknown)[] = [
      () => requireEntitlement(''),
      () => requireAnyEntitlement([]),
      () => requireAllEntitlements([]),
      () => requireAllEntitlements(['images', '']),
      () => requireEntitlement(7 as unknown as string),
    ];
    for (const make of misused) expect(make).to.throw(TypeError, /^require\w+\(\).*'reports'/);
  });

  it('refuse everybody in an application without plans, where nothing else fails', async () => {
    const { shared } = await emptyWorld();
    const person = { email: 'bob@example.com', password: 'builder-1999', emailVerified: true };
    const { id } = await createUser({ ...shared, ...person });
    await createOrganization({ ...shared, name: 'Globex', slug: 'globex', owner: id });
    const where = [authenticate(shared), organization()];
    const { as } = await guarded(shared, {
      '/': where,
      '/images': [...where, requireEntitlement('images')],
    });
    const bob = await as('bob@example.com');

    const { body } = await get(bob, '/').expect(200);
    expect(body.organization.plan).to.equal(null);
    const refused = await get(bob, '/images').expect(403);
    expect(refused.body).to.include({ currentTier: null, upgradeRequired: false });
    const { connection } = shared;
    const nothing = { plan: null, entitlements: null, tier: null, limits: null, overrides: {} };
    expect(await entitlementsOf({ connection, subject: { type: 'user', id } })).to.deep.include(nothing);
  });

  it('know of a change of plan at the next request, and on another connection soon', async () => {
    const { shared, as, globex } = await world();
    const elsewhere = { ...shared, connection: await connect() };
    const far = await guarded(elsewhere, {
      '/reports': [authenticate(elsewhere), organization(), requireEntitlement('reports')],
    });
    const near = await as('bob@example.com');
    const remote = await far.as('bob@example.com');
    const both = async (status: number) => {
      await near.get('/api/reports').expect(status);
      await until(async () => (await remote.get('/reports')).status === status);
    };
    const features = { images: { limit: 10, per: 'month' } } as const;
    const free = { name: 'Free', tier: 0, default: true };

    await both(403);
    await syncPlans({ ...shared, plans: { free: { ...free, features: { ...features, reports: true } } } });
    await both(200);
    await syncPlans({ ...shared, plans: { free: { ...free, features } } });
    await both(403);
    await assignPlan({ ...shared, subject: { type: 'organization', id: globex }, plan: 'pro' });
    await both(200);
    await assignPlan({ ...shared, subject: { type: 'organization', id: globex }, plan: 'free' });
    await both(403);
  });
});

describe('a request', () => {
  it('costs no MongoDB command once authenticate(), organization() and requireEntitlement() are warm', async () => {
    const { shared, acme } = await world();
    const connection = await connect(undefined, { monitorCommands: true });
    const watched = { ...shared, connection };
    const { as } = await guarded(watched, {
      '/': [authenticate(watched), organization(), requireEntitlement('reports')],
    });
    const ada = await as('ada@example.com', inOrganization(acme));
    const sent = watchCommands(connection);
    const ask = async () => {
      sent.length = 0;
      await get(ada, '/').expect(200);
      return sent.length;
    };

    await until(async () => (await ask()) === 0);

    for (let round = 0; round < 20; round++) expect(await ask(), sent.join()).to.equal(0);
  });

  it('is refused when two of its middlewares were given different connections', async () => {
    const { shared } = await world();
    const other = await connect();
    const { as, emitted } = await guarded(shared, {
      '/': [authenticate(shared), organization({ connection: other })],
    });
    const { body, text } = await get(await as('bob@example.com'), '/').expect(500);
    expect(body.code).to.equal('internal');
    expect(text).not.to.include('connection');
    expect(emitted[0]?.message).to.include('different connections');
  });

  it('is refused at once, and the log says to connect, when the default connection was never opened', async () => {
    const script = `
      import Koa from 'koa';
      import { authenticate, entitlementsOf, problems, ready } from './lib/index.ts';
      const app = new Koa();
      app.on('error', ({ message }) => console.log(message));
      app.use(problems()).use(authenticate({ keys: ['a secret of more than thirty-two bytes'] }));
      const server = app.listen(0, '127.0.0.1', async () => {
        const answer = await fetch('http://127.0.0.1:' + server.address().port);
        console.log(answer.status, await answer.text());
        await ready().catch(({ message }) => console.log(message));
        await entitlementsOf({ subject: { type: 'user', id: '1' } }).catch(({ message }) => console.log(message));
        process.exit();
      });`;
    const run = promisify(execFile);
    const args = ['--import=tsx', '--input-type=module', '-e', script];
    const { stdout } = await run(process.execPath, args, { timeout: 10_000 });
    const [logged, answered, ...services] = stdout.trim().split('\n');
    for (const message of [logged, ...services]) expect(message).to.include('mongoose.connect(');
    expect(services).to.have.length(2);
    expect(answered)
      .to.match(/^500 .*"internal"/)
      .and.not.to.include('mongoose');
  });
});

describe('GET /organizations', () => {
  it('lists the organizations of the user page by page, with role and plan', async () => {
    const { shared, as, globex } = await world();
    const bob = await as('bob@example.com');
    const { body: me } = await bob.get('/api/me').expect(200);
    const made: { id: string }[] = [];
    for (const slug of ['a', 'b', 'c', 'd'])
      made.push(await createOrganization({ ...shared, name: slug.toUpperCase(), slug, owner: me.user.id }));
    const [a, , c] = made.map(({ id }) => id);
    await assignPlan({ ...shared, subject: { type: 'organization', id: c as string }, plan: 'pro' });

    const all = await bob.get('/organizations').expect(200);
    expect(all.body.nextCursor).to.equal(null);
    const { items } = all.body;
    expect(items.map(({ id }: { id: string }) => id)).to.deep.equal([globex, ...made.map(({ id }) => id)]);
    expect(items[1]).to.deep.equal({ id: a, name: 'A', slug: 'a', role: 'owner', plan: 'free' });
    expect(items.map(({ plan }: { plan: string }) => plan)).to.deep.equal([
      'free',
      'free',
      'free',
      'pro',
      'free',
    ]);

    const pages = [];
    for (let cursor = ''; ; ) {
      const { body } = await bob.get(`/organizations?limit=2${cursor}`).expect(200);
      pages.push(body.items);
      if (body.nextCursor === null) break;
      cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
    }
    expect(pages).to.deep.equal([items.slice(0, 2), items.slice(2, 4), items.slice(4)]);
    expect((await bob.get('/organizations?limit=5').expect(200)).body.nextCursor).to.equal(null);

    const ada = await (await as('ada@example.com')).get('/organizations').expect(200);
    expect(ada.body.items.map(({ slug }: { slug: string }) => slug)).to.deep.equal(['acme', 'globex']);
    const admin = await as('admin@example.com');
    await admin.get('/organizations').expect(200, { items: [], nextCursor: null });
  });

  it('refuses a wrong limit, a cursor that it never gave and unknown keys', async () => {
    const { as, anyone } = await world();
    const bob = await as('bob@example.com');
    const afterAll = Buffer.from(new Types.ObjectId().id).toString('base64url');
    await bob.get(`/organizations?cursor=${afterAll}`).expect(200, { items: [], nextCursor: null });
    for (const [key, value] of [
      ['limit', '0'],
      ['limit', '101'],
      ['limit', '2.5'],
      ['limit', 'many'],
      ['cursor', ''],
      ['cursor', 'nonsense'],
      ['cursor', nobodysId],
      ['offset', '2'],
    ] as const) {
      const { body } = await bob.get(`/organizations?${key}=${value}`).expect(400);
      expect(body.errors, `${key}=${value}`).to.have.length(1);
      expect(body.errors[0]).to.include({ path: key });
    }
    await bob.get(`/organizations?cursor=${afterAll}&cursor=${afterAll}`).expect(400);
    await anyone().get('/organizations').expect(401);
  });

  it('says null for the plan in an application without plans', async () => {
    const { shared } = await emptyWorld();
    const person = { email: 'bob@example.com', password: 'builder-1999', emailVerified: true };
    const { id: owner } = await createUser({ ...shared, ...person });
    await Promise.all(
      times(2, (index) => createOrganization({ ...shared, name: 'Same', slug: `same-${index}`, owner })),
    );
    const app = new Koa();
    app.use(problems()).use(authRouter(shared).routes()).use(organizationRouter(shared).routes());
    const bob = await clientsOf(await serve(app)).as('bob@example.com');
    const { body } = await bob.get('/organizations').expect(200);
    expect(body.items.map(({ plan }: { plan: null }) => plan)).to.deep.equal([null, null]);
  });
});
