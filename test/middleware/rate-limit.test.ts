import Router from '@koa/router';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import Koa from 'koa';
import type { Connection } from 'mongoose';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import {
  authenticate,
  endpoint,
  type Guard,
  organization,
  problems,
  type RateLimitOptions,
  rateLimit,
  ready,
  type SharedOptions,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { startProxy } from '../support/proxy.js';
import { startRedis } from '../support/redis.js';
import {
  atEnd,
  clientsOf,
  connect,
  countBy,
  emptyWorld,
  freePort,
  inspector,
  mongoUri,
  serve,
  times,
  until,
  world,
} from '../support/world.js';

const hour = { points: 3, per: 'hour' } as const;
const counters = () => inspector().collection('tollgate_rate_limits').find().toArray();

const done = (ctx: Koa.ParameterizedContext) => {
  ctx.body = 'done';
};

async function clientsOfRouter(router: Router) {
  const app = new Koa();
  app.use(problems());
  app.use(router.routes());
  return clientsOf(await serve(app));
}

/** A small application with one guarded route, and how often its handler has run. */
async function guarded(options: RateLimitOptions) {
  const served = { count: 0 };
  const router = new Router();
  router.get('/', rateLimit(options), (ctx) => {
    served.count += 1;
    done(ctx);
  });
  return { ...(await clientsOfRouter(router)), served };
}

/** Sends one request after another until one is refused, and counts those that were not. */
async function letThrough(send: () => PromiseLike<{ status: number }>, most = 20): Promise<number> {
  for (const passed of times(most, (index) => index)) if ((await send()).status !== 200) return passed;
  return most;
}

const redisClient = (url: string, options = {}): Redis => {
  const redis = new Redis(url, options);
  redis.on('error', () => {});
  atEnd(async () => redis.disconnect());
  return redis;
};

const mongoTarget = () => {
  const { hostname, port } = new URL(mongoUri());
  return { host: hostname, port: Number(port) };
};

async function behindProxy(): Promise<{
  connection: Connection;
  proxy: Awaited<ReturnType<typeof startProxy>>;
}> {
  const proxy = await startProxy(mongoTarget());
  atEnd(() => proxy.close());
  const connection = await connect(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
  return { connection, proxy };
}

describe('a rate limit', () => {
  it('lets so many requests through, says where the client stands, and refuses the rest', async () => {
    const { shared } = await emptyWorld();
    const { anyone, served } = await guarded({ ...shared, ...hour, name: 'contact' });
    for (const remaining of [2, 1, 0]) {
      const { headers } = await anyone().get('/').expect(200);
      expect(headers['ratelimit-policy']).to.equal('"contact";q=3;w=3600');
      expect(headers.ratelimit).to.match(new RegExp(`^"contact";r=${remaining};t=(3600|359\\d)$`));
    }
    for (const _ of times(2, () => 0)) {
      const { body, headers } = await anyone().get('/').expect(429);
      expect(body).to.include({ code: 'rate_limited', status: 429 });
      expect(body).to.have.all.keys('type', 'title', 'status', 'code', 'detail', 'requestId');
      expect(Number(headers['retry-after'])).to.be.within(3_590, 3_600);
    }
    expect(served.count).to.equal(3);
  });

  it('is exact over two applications on one database, however many requests come at once', async () => {
    const { shared } = await emptyWorld();
    const apps = await Promise.all(
      times(2, async () => guarded({ ...shared, connection: await connect(), points: 10, per: 'hour' })),
    );
    const answers = await Promise.all(times(60, (index) => apps[index % 2]?.anyone().get('/')));
    expect(countBy(answers as { status: number }[], 'status')).to.deep.equal({ 200: 10, 429: 50 });
    expect(apps.reduce((sum, { served }) => sum + served.count, 0)).to.equal(10);
    expect(await counters()).to.have.length(1);
  });

  it('opens again when its window is over', async () => {
    const { shared } = await emptyWorld();
    const { anyone } = await guarded({ ...shared, points: 1, per: 'second' });
    await anyone().get('/').expect(200);
    const { headers } = await anyone().get('/').expect(429);
    expect(headers['retry-after']).to.equal('1');
    await until(async () => (await anyone().get('/')).status === 200);
    await anyone().get('/').expect(429);
  });

  it('costs one command, and none while somebody is refused', async () => {
    const { shared } = await emptyWorld();
    const connection = await connect(undefined, {
      monitorCommands: true,
    });
    const { anyone } = await guarded({ ...shared, connection, points: 3, per: 'hour' });
    const commands = watchCommands(connection);
    for (const status of [200, 200, 200, 429]) await anyone().get('/').expect(status);
    expect(commands).to.deep.equal(times(4, () => 'findAndModify'));
    for (const _ of times(5, () => 0)) await anyone().get('/').expect(429);
    expect(commands).to.have.length(4);
  });

  it('counts each IPv4 address and each /64 of IPv6, as our own proxy saw it', async () => {
    const { shared } = await emptyWorld();
    const { withHeaders } = await guarded({ ...shared, ...hour, trustedProxies: 1 });
    const from = (chain: string) => withHeaders({ 'X-Forwarded-For': chain }).get('/');
    expect(await letThrough(() => from('192.0.2.1'))).to.equal(3);
    await from('203.0.113.9, 192.0.2.1').expect(429); // what the client wrote itself is not believed
    await from('::ffff:192.0.2.1').expect(429);
    await from('192.0.2.2').expect(200);
    expect(await letThrough(() => from('2001:db8:0:1::1'))).to.equal(3);
    await from('2001:db8:0:1:ffff::2').expect(429);
    await from('2001:db8:0:2::1').expect(200);
    const direct = await guarded({ ...shared, ...hour });
    const spoofed = times(4, (index) => direct.withHeaders({ 'X-Forwarded-For': `192.0.2.${index}` }));
    for (const [index, client] of spoofed.entries()) await client.get('/').expect(index < 3 ? 200 : 429);
  });

  it('counts users and organizations, and wants them upstream', async () => {
    const { shared, signIn, acme, globex } = await world();
    const signedIn = authenticate(shared);
    const byOrganization = rateLimit({ ...hour, by: 'organization' });
    const router = new Router();
    router.get('/user', endpoint(signedIn, rateLimit({ ...hour, by: 'user' }), done));
    router.get('/organization', endpoint(signedIn, organization(), byOrganization, done));
    router.get('/nowhere', endpoint(signedIn, byOrganization, done));
    router.get('/nobody', endpoint(authenticate({ ...shared, optional: true }), rateLimit({ ...hour, by: 'user' }) as Guard, done)); // biome-ignore format: a chain
    const { anyone, withHeaders } = await clientsOfRouter(router);
    const as = async (email: string) => {
      const { body } = await signIn(email).expect(200);
      return (path: string, organizationId = globex) => {
        const headers = { Authorization: `Bearer ${body.accessToken}`, 'X-Organization-Id': organizationId };
        return withHeaders(headers).get(path);
      };
    };
    const [ada, bob] = [await as('ada@example.com'), await as('bob@example.com')];

    for (const status of [200, 200, 200, 429]) await ada('/user').expect(status);
    await bob('/user').expect(200);
    for (const status of [200, 200]) await ada('/organization').expect(status);
    for (const status of [200, 429]) await bob('/organization').expect(status);
    await ada('/organization', acme).expect(200);
    const { body } = await anyone().get('/nobody').expect(401);
    expect(body.code).to.equal('token_missing');
    await ada('/nowhere').expect(500);
  });

  it('counts whoever a function names, of whom the database shows nothing', async () => {
    const { shared } = await emptyWorld();
    const by: RateLimitOptions['by'] = async (ctx) => ctx.get('X-Key');
    const { withHeaders, served } = await guarded({ ...shared, ...hour, by });
    const send = (key: string) => withHeaders({ 'X-Key': key }).get('/');
    expect(await letThrough(() => send('xyzzy'))).to.equal(3);
    expect(await letThrough(() => send('x'.repeat(8_000)))).to.equal(3);
    await withHeaders({}).get('/').expect(500);
    expect(served.count).to.equal(6);
    expect(JSON.stringify(await counters())).not.to.match(/xyzzy|xxx/);
  });

  it('is one of its route or router, unless it is named', async () => {
    const { shared } = await emptyWorld();
    const router = new Router({ prefix: '/api' });
    router.use(rateLimit({ ...shared, points: 7, per: 'hour' }));
    router.get('/things/:id', rateLimit({ ...shared, ...hour }), done);
    router.get('/named', rateLimit({ ...shared, ...hour, name: 'n' }), done);
    router.get('/alike', rateLimit({ ...shared, ...hour, name: 'n' }), done);
    const { anyone } = await clientsOfRouter(router);
    const get = (path: string) => anyone().get(`/api${path}`);

    for (const [path, status] of [['/things/1', 200], ['/things/2', 200], ['/things/3', 200], ['/things/4', 429]] as const) await get(path).expect(status); // biome-ignore format: a table
    await get('/named').expect(200);
    await get('/alike').expect(200);
    const { headers } = await get('/named').expect(200);
    expect(headers['ratelimit-policy']).to.match(/^"[!-~]+";q=7;w=3600, "n";q=3;w=3600$/);
    expect(headers.ratelimit).to.match(/^"[!-~]+";r=0;t=\d+, "n";r=0;t=\d+$/);
    await get('/alike').expect(429); // also by the router's own
  });

  it('counts in memory, nowhere, or where the application says', async () => {
    const { shared } = await emptyWorld();
    for (const [store, expected] of [
      ['memory', 3],
      ['memory', 3],
      ['none', 20],
    ] as const) {
      const { anyone } = await guarded({ ...shared, ...hour, store });
      expect(await letThrough(() => anyone().get('/'))).to.equal(expected);
    }
    const store = new RateLimiterMemory({ points: 3, duration: 3_600 });
    const own = await guarded({ ...shared, ...hour, name: 'own', store });
    expect(await letThrough(() => own.anyone().get('/'))).to.equal(3);
    await store.delete('own 3/3600 address 127.0.0.1/32');
    await own.anyone().get('/').expect(200);
    expect(await counters()).to.deep.equal([]);
  });

  it('judges its options when it is made', () => {
    const wrong: [object, RegExp][] = [
      [{}, /points is required.*per is required/],
      [{ points: 0, per: 'minute' }, /option points/],
      [{ points: 1.5, per: 'minute' }, /option points/],
      [{ points: Number.POSITIVE_INFINITY, per: 'minute' }, /option points/],
      [{ points: 1, per: 'fortnight' }, /option per/],
      [{ points: 1, per: 0 }, /option per/],
      [{ points: 1, per: 1e9 }, /option per/],
      [{ ...hour, by: 'planet' }, /option by/],
      [{ ...hour, name: 'a"b' }, /option name/],
      [{ ...hour, name: 'a\r\nb' }, /option name/],
      [{ ...hour, store: 'disk' }, /option store must be 'memory', 'none' or a limiter/],
      [{ ...hour, store: new RateLimiterMemory({ points: 4, duration: 3_600 }) }, /option store must have/],
      [{ ...hour, redis: 'redis://127.0.0.1' }, /option redis must be a client of ioredis.*\(got a string\)/],
      [{ ...hour, redisUrl: 'http://127.0.0.1' }, /option redisUrl/],
    ];
    for (const [options, expected] of wrong)
      expect(() => rateLimit(options as RateLimitOptions), JSON.stringify(options)).to.throw(
        TypeError,
        expected,
      );
  });

  it('lets nobody through while the database gives no answer, and goes on when it does', async () => {
    const { shared } = await emptyWorld();
    const { connection, proxy } = await behindProxy();
    const { anyone, served } = await guarded({ ...shared, ...hour, connection });
    await anyone().get('/').expect(200);
    for (const lose of [() => proxy.silence(), () => proxy.cut()]) {
      await lose();
      const began = performance.now();
      const answers = await Promise.all(times(5, () => anyone().get('/')));
      expect(performance.now() - began).to.be.below(2_000);
      expect(countBy(answers, 'status')).to.deep.equal({ 503: 5 });
      expect(answers[0]?.body.code).to.equal('database_unavailable');
      expect(answers[0]?.headers).to.include({ 'retry-after': '1' });
      await proxy.restore();
    }
    expect(served.count).to.equal(1);
    await until(async () => (await anyone().get('/')).status !== 503);
  });

  it('has its indexes after ready(), without which there is no readiness', async () => {
    const { connection } = await emptyWorld();
    await ready(connection);
    const indexes = await inspector().collection('tollgate_rate_limits').indexes();
    expect(indexes.find(({ key }) => key.key === 1)).to.include({ unique: true });
    expect(indexes.find(({ key }) => key.expire === 1)).to.include({ expireAfterSeconds: 0 });
  });
});

describe('a rate limit in Redis', () => {
  let redis: NonNullable<Awaited<ReturnType<typeof startRedis>>>;
  beforeEach(async function () {
    const started = await startRedis();
    if (!started) return this.skip();
    redis = started;
  });

  for (const [kind, optionsOf] of [
    ['a client of the application', async () => ({ redis: redisClient(redis.url) })],
    ['a client of the application that waits for Redis', async () => ({ redis: redisClient(redis.url, { maxRetriesPerRequest: null }) })],
    ['a client of the application with a prefix of its own', async () => ({ redis: redisClient(redis.url, { keyPrefix: 'app:' }) })],
    ['the URL', async () => ({ redisUrl: redis.url })],
  ] as [string, () => Promise<Partial<SharedOptions>>][]) // biome-ignore format: a table
    it(`counts there by ${kind}, in MongoDB when Redis is lost, and nobody is let in past either`, async () => {
      const { shared } = await emptyWorld();
      const { connection, proxy } = await behindProxy();
      const options = { ...shared, ...(await optionsOf()), redisPrefix: 'shop:', ...hour, name: 'contact' };
      const { anyone, served } = await guarded({ ...options, connection });
      const looking = redisClient(redis.url);
      await until(async () => {
        await anyone().get('/');
        return (await looking.keys('*')).length > 0; // connected: Redis counts now
      });
      const [key] = await looking.keys('*');
      expect(key).to.match(/^(app:)?shop:rate-limit:contact 3\/3600 address 127\.0\.0\.1\/32$/);
      expect(await looking.pttl(key as string)).to.be.within(3_590_000, 3_600_000);
      await looking.set(key as string, 1, 'KEEPTTL');
      await inspector().collection('tollgate_rate_limits').deleteMany({});
      expect(await letThrough(() => anyone().get('/'))).to.equal(2);
      expect(await counters()).to.deep.equal([]);

      const second = await guarded({ ...options, connection: await connect() }); // remembers no refusal
      await until(async () => (await second.anyone().get('/')).status === 429);
      await inspector().collection('tollgate_rate_limits').deleteMany({});
      await redis.kill();
      const third = await guarded({ ...options, connection });
      expect(await letThrough(() => third.anyone().get('/'))).to.equal(3);
      expect(await counters()).to.have.length(1);

      await proxy.cut();
      const fourth = await guarded({ ...options, name: 'other', connection });
      const answers = await Promise.all(times(5, () => fourth.anyone().get('/')));
      expect(countBy(answers, 'status')).to.deep.equal({ 503: 5 });
      expect(fourth.served.count).to.equal(0);
      expect(served.count).to.be.below(10);
    });

  it('is exact over two applications', async () => {
    const { shared } = await emptyWorld();
    const clients = times(2, () => redisClient(redis.url));
    await until(() => clients.every(({ status }) => status === 'ready'));
    const apps = await Promise.all(
      clients.map(async (client) =>
        guarded({ ...shared, connection: await connect(), redis: client, points: 10, per: 'hour' }),
      ),
    );
    const answers = await Promise.all(times(60, (index) => apps[index % 2]?.anyone().get('/')));
    expect(countBy(answers as { status: number }[], 'status')).to.deep.equal({ 200: 10, 429: 50 });
    expect(await counters()).to.deep.equal([]);
  });

  it('is answered from MongoDB within the bound while Redis is silent, and comes back with it', async () => {
    const { shared } = await emptyWorld();
    const proxy = await startProxy({ host: '127.0.0.1', port: Number(new URL(redis.url).port) });
    atEnd(() => proxy.close());
    const client = redisClient(`redis://127.0.0.1:${proxy.port}`);
    await until(() => client.status === 'ready');
    const { anyone } = await guarded({ ...shared, redis: client, points: 5, per: 'hour' });
    await anyone().get('/').expect(200);
    expect(await counters()).to.deep.equal([]);
    proxy.silence();
    const began = performance.now();
    const answers = await Promise.all(times(4, () => anyone().get('/')));
    expect(performance.now() - began).to.be.below(1_500);
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 4 });
    expect((await counters()).map(({ points }) => points)).to.deep.equal([4]);
    await proxy.restore();
    await until(() => client.get('anything').then(() => true));
    const { headers } = await anyone().get('/');
    expect(headers['retry-after'] ?? headers.ratelimit).not.to.equal(undefined);
  });

  it('needs no Redis to begin with', async () => {
    const { shared } = await emptyWorld();
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    for (const options of [{ redisUrl: url }, { redis: redisClient(url) }]) {
      await inspector().collection('tollgate_rate_limits').deleteMany({});
      const { anyone } = await guarded({ ...shared, ...options, connection: await connect(), ...hour });
      expect(await letThrough(() => anyone().get('/'))).to.equal(3);
    }
  });
});
