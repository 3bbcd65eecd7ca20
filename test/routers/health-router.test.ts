import { expect } from 'chai';
import Koa from 'koa';
import type { Connection } from 'mongoose';
import { type HealthOptions, healthRouter, problems, ready } from '../../lib/index.js';
import { startProxy } from '../support/proxy.js';
import {
  atEnd,
  clientsOf,
  connect,
  dbName,
  emptyWorld,
  inspector,
  mongoUri,
  serve,
} from '../support/world.js';

async function healthOf(connection: Connection, checks: HealthOptions['checks'] = {}) {
  const app = new Koa();
  const emitted: unknown[] = [];
  app.on('error', (error) => emitted.push(error));
  const router = healthRouter({ connection, checks });
  app.use(problems()).use(router.routes()).use(router.allowedMethods());
  const { anyone } = clientsOf(await serve(app));
  return { get: (path: string) => anyone().get(path), post: (path: string) => anyone().post(path), emitted };
}

const secret = 'redis://user:hunter2@10.0.0.7';
const fine = () => Promise.resolve(secret);
const broken = () => Promise.reject(new Error(secret));
const throwing = (): Promise<never> => {
  throw secret;
};

describe('GET /health, /health/live and /health/ready', () => {
  it('answer plain JSON of one shape that nobody keeps', async () => {
    const { connection } = await emptyWorld();
    const { get } = await healthOf(connection, { redis: { check: fine } });
    for (const path of ['/health', '/health/ready']) {
      const { body } = await get(path)
        .expect(200)
        .expect('Content-Type', /^application\/json/)
        .expect('Cache-Control', 'no-store');
      expect(Object.keys(body)).to.have.members(['status', 'checks']);
      expect(body.status).to.equal('healthy');
      expect(Object.keys(body.checks)).to.have.members(['mongodb', 'redis']);
      for (const [name, check] of Object.entries<{ latencyMs: number }>(body.checks)) {
        const { latencyMs, ...rest } = check;
        expect(rest).to.deep.equal({ status: 'healthy', critical: name === 'mongodb' });
        expect(latencyMs).to.be.a('number').and.to.be.at.least(0);
      }
    }
    await get('/health/live').expect(200, { status: 'healthy', checks: {} });
  });

  it("answer by what fails, critical or not, and no error's text", async () => {
    const { connection } = await emptyWorld();
    for (const [checks, status, word] of [
      [{ cache: { check: broken } }, 200, 'degraded'],
      [{ cache: { check: throwing, critical: false } }, 200, 'degraded'],
      [{ queue: { check: broken, critical: true } }, 503, 'unhealthy'],
      [{ cache: { check: broken }, queue: { check: throwing, critical: true } }, 503, 'unhealthy'],
      [{ cache: { check: broken }, queue: { check: fine, critical: true } }, 200, 'degraded'],
      [{ queue: { check: fine, critical: true } }, 200, 'healthy'],
    ] as [NonNullable<HealthOptions['checks']>, number, string][]) {
      const { get, emitted } = await healthOf(connection, checks);
      const { body, text, headers } = await get('/health/ready').expect(status);
      expect(body.status).to.equal(word);
      for (const [name, { check, critical = false }] of Object.entries(checks))
        expect(body.checks[name]).to.include({ status: check === fine ? 'healthy' : 'unhealthy', critical });
      expect(body.checks.mongodb.status).to.equal('healthy');
      expect(text).not.to.include('hunter2');
      expect(headers['retry-after'] !== undefined).to.equal(status === 503);
      const failed = Object.entries(checks).flatMap(([name, { check }]) => (check === fine ? [] : [name]));
      expect(emitted.map(String)).to.have.members(
        failed.map((name) => `Error: The health check ${name} has failed`),
      );
      await get('/health/live').expect(200, { status: 'healthy', checks: {} });
    }
  });

  it("do not run the application's checks for live, and know no other method", async () => {
    const { connection } = await emptyWorld();
    let runs = 0;
    const { get, post } = await healthOf(connection, {
      count: { check: async () => runs++, critical: true },
    });
    await get('/health/live').expect(200);
    expect(runs).to.equal(0);
    await get('/health').expect(200);
    expect(runs).to.equal(1);
    const { body } = await post('/health/ready').expect(405).expect('Allow', 'HEAD, GET');
    expect(body.code).to.equal('method_not_allowed');
  });

  it('answer 503 for ready until every unique index exists', async () => {
    const name = `${dbName}_health`;
    const look = inspector().useDb(name);
    await look.dropDatabase();
    atEnd(() => look.dropDatabase());
    const options = { dbName: name };
    const [connection, elsewhere] = [await connect(undefined, options), await connect(undefined, options)];
    const { get } = await healthOf(connection);

    const { body, text } = await get('/health/ready').expect(503);
    expect(body.status).to.equal('unhealthy');
    expect(body.checks.mongodb).to.include({ status: 'unhealthy', critical: true });
    expect(text).not.to.include('email').and.not.to.include('users');
    await get('/health/live').expect(200);

    await ready(elsewhere);
    await get('/health/ready').expect(200);
    await look.collection('teams').dropIndexes();
    const restarted = await healthOf(await connect(undefined, options));
    await restarted.get('/health/ready').expect(503);
    await ready(elsewhere);
    await restarted.get('/health/ready').expect(200);
  });

  it('are not content with an index that is only partly unique', async () => {
    const name = `${dbName}_health`;
    const look = inspector().useDb(name);
    await look.dropDatabase();
    atEnd(() => look.dropDatabase());
    const options = { dbName: name };
    await ready(await connect(undefined, options));
    const users = look.collection('users');
    await users.dropIndexes();
    const partly = { unique: true, partialFilterExpression: { emailVerified: true } };
    await users.createIndex({ email: 1 }, partly);

    const { get } = await healthOf(await connect(undefined, options));

    await get('/health/ready').expect(503);
  });

  it('answer 503 within 2 s when MongoDB is gone, and 200 when it is back; live does not mind', async () => {
    const { connection: near } = await emptyWorld();
    const { host, port } = near;
    const proxy = await startProxy({ host, port });
    atEnd(() => proxy.close());
    const uri = new URL(mongoUri());
    const connection = await connect(
      `mongodb://127.0.0.1:${proxy.port}${uri.pathname}?directConnection=true`,
    );
    const { get } = await healthOf(connection);
    await get('/health/ready').expect(200);

    proxy.silence();
    const began = performance.now();
    const { body, text } = await get('/health/ready').expect(503).expect('Retry-After', /^\d+$/);
    expect(performance.now() - began).to.be.lessThan(2_000);
    expect(body.checks.mongodb).to.include({ status: 'unhealthy', critical: true });
    expect(text).not.to.match(/Mongo[A-Z]|127\.0\.0\.1|time/);
    await get('/health/live').expect(200);

    await proxy.restore();
    await get('/health/ready').expect(200);
  });
});
