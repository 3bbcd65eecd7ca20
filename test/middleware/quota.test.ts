import Router from '@koa/router';
import { expect } from 'chai';
import Koa from 'koa';
import {
  assignPlan,
  authenticate,
  consumeQuota,
  endpoint,
  problems,
  type QuotaOptions,
  quota,
  refundQuota,
  type SharedOptions,
  syncPlans,
  Usage,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { startProcesses } from '../support/processes.js';
import { clientsOf, connect, countBy, inspector, serve, times, until, world } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;

const stored = (s: string, f: string) => Usage(inspector()).findOne({ '_id.s': s, '_id.f': f }).lean();
const used = async (s: string, f: string) => (await stored(s, f))?.u;

/** Puts everybody on one plan with these features. */
const everybody = (
  shared: SharedOptions,
  features: Parameters<typeof syncPlans>[0]['plans'][string]['features'],
) => syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });

/** An application with one metered route, whose handler answers what the test says. */
async function metered(shared: SharedOptions, options: QuotaOptions, answer: (ctx: Koa.Context) => void) {
  const router = new Router();
  router.post(
    '/',
    endpoint(authenticate(shared), quota('images', options), (ctx) => answer(ctx as Koa.Context)),
  );
  const app = new Koa();
  app.use(problems()).use(router.routes());
  return clientsOf(await serve(app));
}

describe('quota()', () => {
  describe('under concurrency', () => {
    it('grants exactly 100 of 500 parallel requests on a limit of 100', async () => {
      const { as, acme } = await world();
      const ada = await as('ada@example.com', { 'X-Organization-Id': acme });

      const answers = await Promise.all(times(500, () => ada.post('/api/images')));

      expect(countBy(answers, 'status')).to.deep.equal({ 201: 100, 429: 400 });
      const remaining = answers.filter(({ status }) => status === 201).map(({ body }) => body.remaining);
      expect(remaining.sort((a, b) => a - b)).to.deep.equal(times(100, (index) => index));
      expect(await used(`organization:${acme}`, 'images')).to.equal(100);
    });

    it('grants exactly 100 of them when four processes share the work', async function () {
      this.timeout(60_000);
      const { signIn, acme } = await world();
      const { body } = await signIn('ada@example.com');
      const headers = { Authorization: `Bearer ${body.accessToken}`, 'X-Organization-Id': acme };
      const processes = await startProcesses(4);

      const clients = processes.map((each) => each.withHeaders(headers));
      await Promise.all(clients.map((client) => client.get('/api/me').expect(200))); // to start is not what is tried here
      const answers = await Promise.all(
        times(500, (index) => clients[index % 4]?.post('/api/images') ?? expect.fail()),
      );

      expect(countBy(answers, 'status')).to.deep.equal({ 201: 100, 429: 400 });
      expect(await used(`organization:${acme}`, 'images')).to.equal(100);
    });

    it('grants whole amounts only, and leaves what does not fit to smaller ones', async () => {
      const { shared } = await world();
      await everybody(shared, { images: { limit: 10, per: 'day' } });
      const consume = (amount: number) =>
        consumeQuota({ ...shared, subject, feature: 'images', amount }).then(
          () => amount,
          () => 0,
        );

      const granted = await Promise.all(times(30, (index) => consume((index % 3) + 2)));

      const total = granted.reduce((sum, amount) => sum + amount, 0);
      expect(total).to.be.within(9, 10); // of amounts 2 to 4 nothing smaller than 2 is left over
      expect(await used('organization:acme', 'images')).to.equal(total);
    });
  });

  describe('its answers', () => {
    it('carry the state of the quota in the headers of the RateLimit draft', async () => {
      const { as, globex } = await world();
      const ada = await as('ada@example.com', { 'X-Organization-Id': globex });

      const { headers, body } = await ada.post('/api/images').expect(201);

      expect(body.remaining).to.equal(9);
      const { from, to } = (await stored(`organization:${globex}`, 'images')) ?? expect.fail();
      const left = (to.getTime() - Date.parse(headers.date as string)) / 1000;
      expect(headers['ratelimit-policy']).to.equal(
        `"images";q=10;w=${(to.getTime() - from.getTime()) / 1000}`,
      );
      const [, seconds] = /^"images";r=9;t=(\d+)$/.exec(headers.ratelimit as string) ?? [];
      expect(Number(seconds)).to.be.within(left - 2, left + 2);
      expect(from.toISOString()).to.match(/^\d{4}-\d\d-01T00:00:00.000Z$/);
    });

    it('say when it is used up what was asked of what, and when to come back', async () => {
      const { as } = await world();
      const bob = await as('bob@example.com');
      await bob.post('/api/searches', { amount: 990 }).expect(200, { used: 990, remaining: 10 });

      const { status, headers, body } = await bob.post('/api/searches', { amount: 11 });

      const midnight = new Date(new Date().setUTCHours(24, 0, 0, 0)).toISOString();
      expect(status).to.equal(429);
      expect(body).to.deep.include({ code: 'quota_exceeded', feature: 'searches', limit: 1000, used: 990 });
      expect(body).to.deep.include({ remaining: 10, resetsAt: midnight, upgradeRequired: false });
      expect(Number(headers['retry-after'])).to.be.within(1, 86_400);
      expect(headers.ratelimit).to.match(/^"searches";r=10;t=\d+$/);
      await bob.post('/api/searches', { amount: 10 }).expect(200, { used: 1000, remaining: 0 });
    });

    it('say that an upgrade helps when a higher plan allows more', async () => {
      const { as, shared, globex } = await world();
      await as('ada@example.com');
      const globexSubject = { type: 'organization', id: globex } as const;
      const consume = consumeQuota({ ...shared, subject: globexSubject, feature: 'images', amount: 11 });
      expect(await consume.catch(({ extras }) => extras)).to.include({
        upgradeRequired: true,
        limit: 10,
        used: 0,
      });
    });

    it('have no headers where nothing limits, and count all the same', async () => {
      const { shared, signIn } = await world();
      await everybody(shared, { images: { limit: 'unlimited', per: 'month' } });
      const { body: session } = await signIn('bob@example.com');
      const app = await metered(shared, {}, (ctx) => (ctx.body = ctx.state.quota.images));

      const { headers, body } = await app
        .withHeaders({ Authorization: `Bearer ${session.accessToken}` })
        .post('/')
        .expect(200);

      expect(body).to.include({ limit: null, remaining: null, used: 1 });
      expect(headers).not.to.have.any.keys('ratelimit', 'ratelimit-policy');
    });

    it('promise no return where nothing resets the quota', async () => {
      const { shared, signIn } = await world();
      await everybody(shared, { images: { limit: 1, per: 'lifetime' } });
      const { body: session } = await signIn('bob@example.com');
      const app = (await metered(shared, {}, (ctx) => (ctx.status = 204))).withHeaders({
        Authorization: `Bearer ${session.accessToken}`,
      });

      const first = await app.post('/').expect(204);
      const second = await app.post('/').expect(429);

      expect(first.headers).to.include({ 'ratelimit-policy': '"images";q=1', ratelimit: '"images";r=0' });
      expect(second.headers).not.to.have.property('retry-after');
      expect(second.body.resetsAt).to.equal(null);
    });
  });

  describe('periods', () => {
    it('begin anew when the last one is over, by the clock of the database', async () => {
      const { shared } = await world();
      await everybody(shared, { images: { limit: 5, per: 'hour' } });
      const consume = (connection = shared.connection) =>
        consumeQuota({ connection, subject, feature: 'images', amount: 5 });
      await consume();
      expect(await consume().catch(({ code }) => code)).to.equal('quota_exceeded');
      const [from, to] = [new Date('2020-01-01T00:00:00Z'), new Date('2020-01-01T01:00:00Z')];
      await Usage(inspector()).updateOne({ '_id.s': 'organization:acme' }, { from, to });

      const elsewhere = await connect(); // here the denial is remembered for half a second
      const states = await Promise.all(
        times(20, () =>
          consume(elsewhere).then(
            ({ used }) => used,
            ({ code }) => code,
          ),
        ),
      );

      expect(
        countBy(
          states.map((state) => ({ state })),
          'state',
        ),
      ).to.deep.equal({ 5: 1, quota_exceeded: 19 });
      expect((await stored('organization:acme', 'images'))?.from.getUTCMinutes()).to.equal(0);
    });
  });

  describe('what it is about', () => {
    it('is the organization where there is one, apart from every other organization and user', async () => {
      const { as, acme, globex } = await world();
      const [inAcme, inGlobex] = [
        await as('ada@example.com', { 'X-Organization-Id': acme }),
        await as('ada@example.com', { 'X-Organization-Id': globex }),
      ];
      await inAcme.post('/api/images').expect(201);
      await inAcme.post('/api/images').expect(201);
      await inGlobex.post('/api/images').expect(201);
      await inAcme.post('/api/searches').expect(200);

      expect(await used(`organization:${acme}`, 'images')).to.equal(2);
      expect(await used(`organization:${globex}`, 'images')).to.equal(1);
      expect(await Usage(inspector()).countDocuments({ '_id.f': 'searches', '_id.s': /^user:/ })).to.equal(1);
    });

    it('refuses a feature that the plan does not know, and one that is a flag', async () => {
      const { shared, acme } = await world();
      const consume = (feature: string) =>
        consumeQuota({ ...shared, subject: { type: 'organization', id: acme }, feature });
      expect(await consume('videos').catch((error) => error)).to.include({
        code: 'entitlement_missing',
        status: 403,
      });
      for (const inherited of ['__proto__', 'constructor', 'toString']) {
        expect(await consume(inherited).catch((error) => error), inherited).to.include({
          code: 'entitlement_missing',
        });
      }
      expect(await consume('reports').catch((error) => error)).to.include({ code: 'internal', status: 500 });
    });

    it('follows a smaller plan at once, and refuses without an error of its own', async () => {
      const { as, shared, acme } = await world();
      const ada = await as('ada@example.com', { 'X-Organization-Id': acme });
      await Promise.all(times(12, () => ada.post('/api/images').expect(201)));

      await assignPlan({ ...shared, subject: { type: 'organization', id: acme }, plan: 'free' });

      const { body } = await ada.post('/api/images').expect(429);
      expect(body).to.include({ limit: 10, used: 12, remaining: 0 });
    });
  });

  describe('amounts', () => {
    for (const amount of [
      '0',
      '-1',
      '1.5',
      '"5"',
      '9007199254740992',
      '1e309',
      'null',
      '[1]',
      '{"$gt":0}',
      'true',
    ]) {
      it(`of ${amount} are refused before anything is written`, async () => {
        const { as } = await world();
        const ada = await as('ada@example.com');
        const { body } = await ada
          .post('/api/searches')
          .set('Content-Type', 'application/json')
          .send(`{"amount":${amount}}`)
          .expect(400);
        expect(body).to.deep.include({ code: 'validation_failed' });
        expect(body.errors[0].path).to.equal('amount');
        expect(await Usage(inspector()).countDocuments()).to.equal(0);
      });
    }

    it('that are no positive integers are a TypeError of the service, and 400 when a function gives them', async () => {
      const { shared, signIn } = await world();
      for (const amount of [
        0,
        -1,
        1.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        2 ** 53,
        '5' as unknown as number,
      ]) {
        const error = await consumeQuota({ ...shared, subject, feature: 'images', amount }).catch(
          (thrown) => thrown,
        );
        expect(error, String(amount)).to.be.instanceOf(TypeError);
      }
      const { body: session } = await signIn('bob@example.com');
      const app = await metered(shared, { amount: () => 0.5 }, (ctx) => (ctx.status = 204));
      await app
        .withHeaders({ Authorization: `Bearer ${session.accessToken}` })
        .post('/')
        .expect(400);
      expect(await Usage(inspector()).countDocuments()).to.equal(0);
    });
  });

  describe('refunds', () => {
    const cases: [refund: QuotaOptions['refund'], answer: string, used: number][] = [
      ['on-error', 'throws an error', 0],
      ['on-error', 'answers 500', 0],
      ['on-error', 'answers 400', 1],
      ['on-error', 'throws 404', 1],
      ['on-4xx', 'answers 400', 0],
      ['on-4xx', 'throws 404', 0],
      ['on-4xx', 'answers 204', 1],
      ['never', 'throws an error', 1],
    ];
    for (const [refund, answer, expected] of cases) {
      it(`with '${refund}' leave ${expected} used when the handler ${answer}`, async () => {
        const { shared, signIn } = await world();
        const { body } = await signIn('bob@example.com');
        const app = await metered(shared, { refund }, (ctx) => {
          if (answer === 'throws an error') throw new Error('broken');
          const status = Number(answer.slice(-3));
          if (answer.startsWith('throws')) ctx.throw(status);
          ctx.status = status;
          if (status !== 204) ctx.body = 'something';
        });
        await app.withHeaders({ Authorization: `Bearer ${body.accessToken}` }).post('/');
        expect(await used(`user:${body.user.id}`, 'images')).to.equal(expected);
      });
    }

    it('never reach into another period', async () => {
      const { shared } = await world();
      const state = await consumeQuota({ ...shared, subject, feature: 'images', amount: 3 });
      await Usage(inspector()).updateOne({ '_id.s': 'organization:acme' }, { from: new Date(0) });
      await refundQuota({ ...shared, subject, state });
      expect(await used('organization:acme', 'images')).to.equal(3);
    });

    it('give back what a consumption took once, in parts or whole, and never what another took', async () => {
      const { shared } = await world();
      const state = await consumeQuota({ ...shared, subject, feature: 'images', amount: 3 });
      await consumeQuota({ ...shared, subject, feature: 'images', amount: 4 });
      await refundQuota({ ...shared, subject, state, amount: 1 });
      await Promise.all(times(10, () => refundQuota({ ...shared, subject, state, amount: 9 })));
      expect(await used('organization:acme', 'images')).to.equal(4);
      const copy = await refundQuota({ ...shared, subject, state: { ...state } }).catch((error) => error);
      expect(copy).to.be.instanceOf(TypeError);
    });

    it('follow the status that is answered, whatever the error claims', async () => {
      const { shared, signIn } = await world();
      const { body } = await signIn('bob@example.com');
      const app = await metered(shared, {}, () => {
        throw Object.assign(new Error('from another service'), { status: 404 });
      });
      await app
        .withHeaders({ Authorization: `Bearer ${body.accessToken}` })
        .post('/')
        .expect(500);
      expect(await used(`user:${body.user.id}`, 'images')).to.equal(0);
    });

    it('undo an earlier quota of the route when a later one is used up', async () => {
      const { shared, signIn } = await world();
      const { body } = await signIn('bob@example.com');
      const router = new Router();
      const handler = endpoint(
        authenticate(shared),
        quota('images'),
        quota('searches', { amount: 1001 }),
        () => {},
      );
      router.post('/', handler);
      const app = new Koa();
      app.use(problems()).use(router.routes());
      const { withHeaders } = clientsOf(await serve(app));
      const refusal = await withHeaders({ Authorization: `Bearer ${body.accessToken}` })
        .post('/')
        .expect(429);
      expect(refusal.body.feature).to.equal('searches');
      expect(refusal.headers).not.to.have.property('retry-after'); // no period ever has room for 1001
      expect(await used(`user:${body.user.id}`, 'images')).to.equal(0);
    });
  });

  it('costs one command for a warm request, and for a refused one, beside a look for expired reservations once a second', async () => {
    await world();
    const connection = await connect(undefined, { monitorCommands: true });
    const commands = watchCommands(connection);
    const consume = (amount: number) =>
      consumeQuota({ connection, subject, feature: 'images', amount }).catch(() => {});
    await until(async () => {
      commands.length = 0;
      await consume(1);
      return commands.length === 1;
    });

    commands.length = 0;
    await consume(1);
    expect(commands).to.deep.equal(['findAndModify']);

    commands.length = 0;
    await consume(1_000_000);
    expect(commands).to.deep.equal(['findAndModify', 'find']);
  });
});
