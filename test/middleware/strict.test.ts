import Router from '@koa/router';
import { expect } from 'chai';
import Koa, { type ParameterizedContext } from 'koa';
import {
  assignPlan,
  authenticate,
  authRouter,
  createOrganization,
  endpoint,
  type Guard,
  Memberships,
  organization,
  problems,
  quota,
  requireEntitlement,
  requireOrganizationRole,
  requirePermission,
  requireRole,
  type SharedOptions,
  saveRole,
  syncPlans,
  Users,
} from '../../lib/index.js';
import { idOf } from '../support/admins.js';
import { watchCommands } from '../support/commands.js';
import { failPoint } from '../support/fail-point.js';
import { startProxy } from '../support/proxy.js';
import {
  atEnd,
  clientsOf,
  connect,
  inspector,
  mongoUri,
  serve,
  times,
  until,
  world,
} from '../support/world.js';

function show(ctx: ParameterizedContext): void {
  const { organization, membership, tier, limits, quota } = ctx.state as Record<string, unknown>;
  ctx.body = { organization, membership, tier, limits, quota };
}

async function guarded(shared: SharedOptions) {
  const signedIn = authenticate(shared);
  const manages = requirePermission('organization.manage');
  const inRole = requireOrganizationRole('owner', 'clerk');
  const router = new Router();
  router.get('/here', endpoint(signedIn, organization(), manages, inRole, show));
  router.get(
    '/at/:organizationId',
    endpoint(signedIn, organization(), manages, inRole, requireEntitlement('reports'), show),
  );
  router.get('/global', endpoint(signedIn, requirePermission('tickets.read'), requireRole('support'), show));
  router.get('/alone', endpoint(signedIn, requireRole('user'), show));
  router.get('/paid', endpoint(signedIn, organization(), requireEntitlement('calls'), quota('calls'), show));
  const app = new Koa();
  app.use(problems()).use(authRouter(shared).routes()).use(router.routes());
  return clientsOf(await serve(app));
}

async function strictly(options: { readonly appName?: string } = {}) {
  const given = await world();
  const connection = await connect(undefined, { monitorCommands: true, ...options });
  const shared = { ...given.shared, connection, strict: true };
  const { acme, globex } = given;
  await saveRole({ connection, organizationId: globex, name: 'clerk', permissions: ['organization.manage'] });
  const { as } = await guarded(shared);
  const [ada, bob] = [await as('ada@example.com'), await as('bob@example.com')];
  const commands = watchCommands(connection);
  await until(async () => {
    commands.length = 0;
    await ada.get(`/at/${acme}`).expect(200);
    return commands.length === 1; // the catalogue of plans is remembered once the change feed is live
  });
  return { shared, connection, acme, globex, ada, bob, commands };
}

describe('a route with session, organization and permission in strict mode', () => {
  it('sends one command for a request, by whatever the organization is found', async () => {
    const { ada, bob, acme, globex, commands } = await strictly();
    const cost = async (answer: PromiseLike<{ status: number }>) => {
      commands.length = 0;
      const { status } = await answer;
      return [status, ...commands];
    };
    expect(await cost(ada.get(`/at/${acme}`))).to.deep.equal([200, 'aggregate']);
    expect(await cost(ada.get('/here').set('X-Organization-Id', acme.toUpperCase()))).to.deep.equal([
      200,
      'aggregate',
    ]);
    expect(await cost(bob.get('/here'))).to.deep.equal([200, 'aggregate']);
    expect(await cost(ada.get('/here'))).to.deep.equal([400, 'aggregate']);
    expect(await cost(ada.get('/here').set('X-Organization-Id', globex))).to.deep.equal([403, 'aggregate']);
    expect(await cost(bob.get(`/at/${globex}`))).to.deep.equal([403, 'aggregate']);
    expect(await cost(bob.get('/at/nonsense'))).to.deep.equal([404, 'aggregate']);
    expect(await cost(bob.get('/global'))).to.deep.equal([403, 'aggregate']);
    expect((await cost(bob.get(`/at/${acme}`)))[0]).to.equal(404);
  });

  it('reads no more than the session and its user where no guard of the endpoint needs it', async () => {
    const { ada, acme, connection } = await strictly();
    const joins: number[] = [];
    connection.getClient().on('commandStarted', ({ commandName, command }) => {
      if (commandName !== 'aggregate' || command.pipeline[0].$changeStream) return;
      joins.push(command.pipeline.filter((stage: object) => '$lookup' in stage).length);
    });
    await ada.get('/alone').expect(200);
    expect(joins).to.deep.equal([1]);
    await ada.get(`/at/${acme}`).expect(200);
    expect(joins[1]).to.be.greaterThan(1);
    expect(joins.length).to.equal(2);
  });

  it('sends as few below an endpoint that needs none of it: behind it, in it, or called by it', async () => {
    const { shared, acme, commands } = await strictly();
    const [signedIn, inside] = [authenticate(shared), organization()];
    const manages = requirePermission('organization.manage');
    const passing = () => endpoint((_ctx, next) => next());
    const inner = new Router().get('/called', endpoint(signedIn, inside, manages, show));
    const router = new Router();
    router.get('/behind', passing(), endpoint(signedIn, inside, manages, show));
    router.get('/plain', passing(), signedIn, inside, manages, show);
    router.get('/in', endpoint(passing() as Guard, signedIn, inside, manages, show));
    router.get('/called', endpoint(inner.routes() as Guard));
    const app = new Koa();
    app.use(problems()).use(authRouter(shared).routes()).use(router.routes());
    const { as } = clientsOf(await serve(app));
    const ada = await as('ada@example.com', { 'X-Organization-Id': acme });
    const costs: Record<string, string[]> = {};
    for (const path of ['/behind', '/plain', '/in', '/called']) {
      commands.length = 0;
      await ada.get(path).expect(200);
      costs[path] = [...commands];
    }
    const one = ['aggregate'];
    expect(costs).to.deep.equal({ '/behind': one, '/plain': one, '/in': one, '/called': one });
  });

  it('finds what the guards find that remember', async () => {
    const { ada, bob, acme, globex, shared } = await strictly();
    const { as } = await guarded({ ...shared, strict: false });
    const [sameAda, sameBob] = [await as('ada@example.com'), await as('bob@example.com')];
    const pairs = [
      [ada.get(`/at/${acme}`), sameAda.get(`/at/${acme}`)],
      [bob.get('/here'), sameBob.get('/here')],
      [bob.get(`/at/${globex}`), sameBob.get(`/at/${globex}`)],
      [ada.get('/here'), sameAda.get('/here')],
    ] as const;
    for (const pair of pairs) {
      const [one, other] = (await Promise.all(pair)).map(({ status, body: { requestId, ...body } }) => ({
        status,
        body,
      }));
      expect(one).to.deep.equal(other);
    }
  });

  it('sees every change at once, though nobody announces it, and never what was before a request came', async () => {
    const { ada, bob, acme, globex, connection } = await strictly();
    const [adaId] = [await idOf(connection, 'ada')];
    const at = (id: string) => ada.get('/here').set('X-Organization-Id', id);
    const membership = { organization: globex, user: adaId };
    const roles = inspector().collection('roles');
    await at(globex).expect(403);
    await Memberships(inspector()).updateOne(membership, { role: 'clerk' });
    await at(globex).expect(200);
    await roles.updateOne({ name: 'clerk' }, { $set: { permissions: [] } });
    await at(globex).expect(403);
    await Memberships(inspector()).updateOne(membership, { role: 'owner' });
    await at(globex).expect(200);
    await Memberships(inspector()).deleteOne(membership);
    await at(globex).expect(404);
    await ada.get('/here').expect(200); // Acme is the only one now
    await assignPlan({ connection: inspector(), subject: { type: 'organization', id: globex }, plan: 'pro' });
    await bob.get(`/at/${globex}`).expect(200);

    await ada.get('/global').expect(403);
    await Users(inspector()).updateOne({ _id: adaId }, { roles: ['support'] });
    await ada.get('/global').expect(403);
    await roles.insertOne({ name: 'support', organization: null, permissions: ['tickets.*'] });
    await ada.get('/global').expect(200);
    await inspector()
      .collection('tollgate_sessions')
      .updateMany({}, { $set: { revokedAt: new Date() } });
    expect((await at(acme).expect(401)).body.code).to.equal('session_revoked');
  });

  it('honours overrides, the months that were sold and the end of a plan, though nobody announces them', async () => {
    const { ada, acme } = await strictly();
    const subject = { type: 'organization', id: acme } as const;
    const features = { calls: { limit: 3, per: 'billing' } } as const;
    await syncPlans({ connection: inspector(), plans: { paid: { name: 'Paid', tier: 2, features } } });
    const anchor = new Date(Date.now() - 86_400_000);
    await assignPlan({ connection: inspector(), subject, plan: 'paid', anchor });
    const paid = () => ada.get('/paid').set('X-Organization-Id', acme);
    const change = (facts: object) =>
      inspector()
        .collection('subscriptions')
        .updateOne({ 'subject.id': acme }, { $set: facts, $inc: { version: 2 } });
    const first = await paid().expect(200);
    expect(first.body.quota.calls).to.include({ limit: 3, used: 1, startedAt: anchor.toISOString() });
    await change({ overrides: { calls: 1 } });
    expect((await paid().expect(429)).body).to.include({ limit: 1, used: 1 });
    await change({ overrides: { calls: null } });
    const { body } = await paid().expect(200);
    expect(body.limits).to.deep.equal({ calls: null });
    expect(body.quota.calls).to.include({ limit: null, used: 2 });
    await change({ expiresAt: new Date(Date.now() - 1) });
    expect((await paid().expect(403)).body.code).to.equal('entitlement_missing');
    await change({ expiresAt: new Date(Date.now() + 3_600_000) });
    await paid().expect(200);
  });

  it('lets requests that come together share a few commands, each for its own session and organization', async () => {
    const { ada, bob, acme, globex, connection, shared, commands } = await strictly({ appName: 'strictly' });
    const owner = await idOf(connection, 'ada');
    const other = await createOrganization({ ...shared, name: 'Other', slug: 'other', owner });
    const wishes = [
      [ada, acme, 'acme'],
      [bob, globex, 'globex'],
      [ada, other.id, 'other'],
      [ada, 'none', 404],
      [bob, undefined, 'globex'],
      [bob, acme, 404],
    ] as const;
    await failPoint({ appName: 'strictly', failCommands: ['aggregate'], blockTimeMS: 300 });
    commands.length = 0;
    const answers = await Promise.all(
      times(60, (index) => {
        const [client, id] = wishes[index % 6] ?? expect.fail();
        return id ? client.get('/here').set('X-Organization-Id', id) : client.get('/here');
      }),
    );
    const met = answers.map(({ body, status }) => body.organization?.slug ?? status);
    expect(met).to.deep.equal(times(60, (index) => wishes[index % 6]?.[2]));
    expect(new Set(commands)).to.deep.equal(new Set(['aggregate']));
    expect(commands.length).to.be.within(3, 30);
  });

  it('never shares a command that began before a request came, with whoever else is waiting for it', async () => {
    const { shared } = await world();
    const { hostname, port } = new URL(mongoUri());
    const proxy = await startProxy({ host: hostname, port: Number(port) });
    atEnd(() => proxy.close());
    const connection = await connect(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`, {
      monitorCommands: true,
    });
    const { as } = await guarded({ ...shared, connection, strict: true });
    const [ada, bob] = [await as('ada@example.com'), await as('bob@example.com')];
    const commands = watchCommands(connection);
    proxy.delayReplies(500);
    commands.length = 0;
    const early = bob.get('/alone').then(({ status }) => status);
    await until(() => commands.includes('aggregate'));
    await inspector()
      .collection('tollgate_sessions')
      .updateMany({}, { $set: { revokedAt: new Date() } });
    await ada.get('/alone').expect(401);
    await early;
  });
});
