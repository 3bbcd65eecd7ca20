import { expect } from 'chai';
import type { Connection } from 'mongoose';
import { demoApp } from '../examples/demo/app.js';
import { organizationId, seed } from '../examples/demo/seed.js';
import { consumeQuota, ready, signOut, Usage } from '../lib/index.js';
import { type MongoServer, startMongo } from './support/mongodb.js';
import { startProxy, type TcpProxy } from './support/proxy.js';
import {
  atEnd,
  type Client,
  clientsOf,
  connect,
  countBy,
  emptyWorld,
  inspector,
  mongoUri,
  secret,
  serve,
  times,
  until,
} from './support/world.js';

const bound = 2_000;

/** Every guarded route of the demo, by a request that is answered when all is well. */
const routes: [method: 'get' | 'post', path: string, body?: object][] = [
  ['get', '/api/me'],
  ['get', '/api/hello'],
  ['get', '/api/reports'],
  ['post', '/api/images'],
  ['post', '/api/searches', {}],
  ['get', '/organizations'],
  ['post', '/auth/check', {}],
  ['post', '/auth/sign-in', { email: 'ada@example.com', password: 'lovelace-1815' }],
  ['get', '/health/ready'],
];

/** The demo on a database with its people, and Ada signed in, after a first request. */
async function warmClient(connection: Connection) {
  const shared = { connection, keys: [secret], passwordCost: 10, cookies: { secure: false } };
  await seed(shared);
  const acme = await organizationId(connection, 'acme');
  const { signIn, withHeaders } = clientsOf(await serve(demoApp(shared)));
  const { body } = await signIn('ada@example.com').expect(200);
  const client = withHeaders({ Authorization: `Bearer ${body.accessToken}`, 'X-Organization-Id': acme });
  await client.get('/api/me').expect(200);
  const session = await client.post('/auth/check').expect(200);
  return { client, acme, connection, sessionId: session.body.session.id as string };
}

/** The same on a connection that goes through a proxy. */
async function behindProxy(target: { host: string; port: number }) {
  await emptyWorld();
  const proxy = await startProxy(target);
  atEnd(() => proxy.close());
  const connection = await connect(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
  return { ...(await warmClient(connection)), proxy };
}

const target = (): { host: string; port: number } => {
  const { hostname, port } = new URL(mongoUri());
  return { host: hostname, port: Number(port) };
};

async function timed(client: Client, [method, path, body]: (typeof routes)[number]) {
  const began = performance.now();
  const { status, headers, body: answer } = await client[method](path, body);
  return { status, headers, answer, took: performance.now() - began };
}

async function expectUnavailable(client: Client): Promise<void> {
  for (const { status, headers, answer, took } of await Promise.all(
    routes.map((route) => timed(client, route)),
  )) {
    expect(status, JSON.stringify(answer)).to.equal(503);
    expect(headers['retry-after']).to.equal('1');
    if (answer.code)
      expect(answer).to.include({ code: 'database_unavailable' }).and.not.have.property('cause');
    expect(took).to.be.below(bound);
  }
}

describe('while MongoDB does not answer', () => {
  const outages: [name: string, begin: (proxy: TcpProxy) => unknown][] = [
    ['is silent', (proxy) => proxy.silence()],
    ['refuses connections', (proxy) => proxy.cut()],
    ['loses its replies', (proxy) => proxy.dropReplies()],
  ];
  for (const [name, begin] of outages) {
    it(`because the network ${name}, every route is 503 within two seconds, and serves again by itself`, async () => {
      const { client, proxy } = await behindProxy(target());
      await begin(proxy);
      await until(async () => (await client.get('/api/me')).status === 503); // what is cached counts for three seconds at most

      await expectUnavailable(client);

      await proxy.restore();
      for (const route of routes) {
        await until(async () => (await timed(client, route)).status < 300);
      }
    });
  }

  it('because it was killed, every route is 503 within two seconds, and serves again when it is back', async () => {
    const mongo: MongoServer = await startMongo();
    atEnd(() => mongo.stop());
    const connection = await connect(mongo.uri);
    await ready(connection);
    const { client, acme } = await warmClient(connection);
    await client.post('/api/images').expect(201);
    await mongo.kill();
    await until(async () => (await client.get('/api/me')).status === 503);

    await expectUnavailable(client);

    await mongo.restart();
    await until(async () => (await client.get('/api/me')).status === 200);
    const { body } = await client.post('/api/images').expect(201);
    expect(body.remaining, acme).to.be.within(97, 98); // 1 or 2 besides: the one without an answer may have counted
  });

  it('every one of many requests for one counter is refused within the bound, and those not sent are not counted', async () => {
    const { proxy, connection, acme } = await behindProxy(target());
    const subject = { type: 'organization', id: acme } as const;
    const consume = () => consumeQuota({ connection, subject, feature: 'images' });
    await consume();
    proxy.silence();
    const took = async () => {
      const began = performance.now();
      const error = await consume().catch((thrown) => thrown);
      return { error, ms: performance.now() - began };
    };

    const refused = await Promise.all(times(1500, took));

    expect(Math.max(...refused.map(({ ms }) => ms))).to.be.below(bound);
    const codes = countBy(
      refused.map(({ error: { code } }) => ({ code })),
      'code',
    );
    expect(codes).to.have.all.keys('database_unavailable', 'overloaded');
    await proxy.restore();
    await until(() =>
      consume().then(
        () => true,
        () => false,
      ),
    );
    const { u } = await Usage(inspector()).findOne({ '_id.f': 'images' }).orFail().lean();
    expect(u).to.be.within(2, 2 + (codes.database_unavailable ?? 0));
  });

  it('a session that was ended meanwhile never comes back when the network does', async () => {
    const { client, proxy, sessionId } = await behindProxy(target());
    await until(async () => (await client.get('/api/hello')).status === 200);
    proxy.silence();
    await until(async () => (await client.get('/api/me')).status === 503);
    await signOut({ sessionId, connection: inspector() });

    await proxy.restore();

    const seen = new Set<string>();
    for (let good = 0; good < 200; ) {
      const { status, body } = await client.get('/api/hello');
      if (status === 200) seen.add(body.hello);
      if (status === 200) good += 1;
    }
    expect([...seen]).to.deep.equal(['stranger']);
  });
});
