import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { Connection, ConnectOptions } from 'mongoose';
import { demoApp } from '../../examples/demo/app.js';
import { revokeSessions, type SharedOptions } from '../../lib/index.js';
import { startRedis } from '../support/redis.js';
import { atEnd, clientsOf, connect, dbName, inspector, serve, until, world } from '../support/world.js';

const channel = `tollgate:changes:${dbName}`;

function redisClient(url: string): Redis {
  const redis = new Redis(url);
  redis.on('error', () => {});
  atEnd(async () => redis.disconnect());
  return redis;
}

/** The reads of users that a connection sends, and its waits for news from the change stream. */
function watch(connection: Connection) {
  const seen = { reads: 0, waits: 0 };
  connection.getClient().on('commandStarted', ({ commandName }) => {
    if (commandName === 'getMore') seen.waits += 1;
    else if (commandName === 'aggregate' || commandName === 'find') seen.reads += 1;
  });
  return seen;
}

/** One more instance of the demo, on a connection of its own, and Ada's way to ask it who she is. */
async function instance(shared: SharedOptions, token: string, options: ConnectOptions = {}) {
  const monitored = { monitorCommands: true, ...options };
  const connection = await connect(undefined, monitored);
  const { withHeaders } = clientsOf(await serve(demoApp({ ...shared, connection })));
  const ask = async () =>
    (await withHeaders({ Authorization: `Bearer ${token}` }).get('/api/hello')).body.hello;
  const seen = watch(connection);
  const warm = () =>
    until(async () => {
      const before = seen.reads;
      expect(await ask()).to.equal('Ada');
      return seen.reads === before;
    });
  return { ask, warm, seen, connection };
}

/** Makes the change streams of a program mute, though everything else works. */
async function stallStreams(appName: string): Promise<void> {
  const admin = inspector().getClient().db('admin');
  const data = { failCommands: ['getMore'], blockConnection: true, blockTimeMS: 4_000, appName };
  atEnd(async () => admin.command({ configureFailPoint: 'failCommand', mode: 'off' }));
  await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data });
}

/** The demo, a Redis, and Ada, who is signed in. */
async function signedIn() {
  const redis = await startRedis();
  if (!redis) return null;
  const { shared, signIn, connection } = await world({ redisUrl: redis.url });
  const { body } = await signIn('ada@example.com').expect(200);
  const { redisUrl: _, ...without } = shared;
  const signOutEverywhere = () => revokeSessions({ connection, userId: body.user.id });
  const looking = redisClient(redis.url);
  const listeners = async () => Number((await looking.pubsub('NUMSUB', channel))[1]);
  return { redis, shared, without, token: body.accessToken as string, signOutEverywhere, looking, listeners };
}

describe('a change', () => {
  it('is heard through Redis while the change stream is stalled', async function () {
    const setting = await signedIn();
    if (!setting) return this.skip();
    const { redis, without, token, signOutEverywhere, listeners } = setting;
    const appName = 'stalled';
    const own = await instance({ ...without, redis: redisClient(redis.url) }, token, { appName });
    const byUrl = await instance({ ...without, redisUrl: redis.url }, token, { appName });
    const deaf = await instance(without, token, { appName });
    await until(async () => (await listeners()) === 3); // and the one that signs out
    const all = [own, byUrl, deaf];
    for (const { warm } of all) await warm();
    await stallStreams(appName);
    const before = all.map(({ seen }) => seen.waits);
    await until(() => all.every(({ seen }, index) => seen.waits > (before[index] as number)));

    const began = performance.now();
    await signOutEverywhere();

    await until(async () => (await own.ask()) === 'stranger' && (await byUrl.ask()) === 'stranger');
    expect(performance.now() - began).to.be.below(1_500); // a stream that is mute for 3 s is not believed any more
    expect(await deaf.ask()).to.equal('Ada'); // the same stall, without Redis
  });

  it('is heard by the change stream when Redis has died, or was never there', async function () {
    const setting = await signedIn();
    if (!setting) return this.skip();
    const { redis, shared, token, signOutEverywhere, listeners } = setting;
    const other = await instance(shared, token);
    await until(async () => (await listeners()) === 2);
    await other.warm();
    await redis.kill();
    const late = await instance({ ...shared, redisUrl: redis.url }, token);
    await late.warm();

    const began = performance.now();
    await signOutEverywhere();
    expect(performance.now() - began).to.be.below(1_000); // nobody waits for Redis

    await until(async () => (await other.ask()) === 'stranger' && (await late.ask()) === 'stranger');
  });

  it('that is forged in Redis makes others ask the database, and no more', async function () {
    const setting = await signedIn();
    if (!setting) return this.skip();
    const { shared, token, looking, signOutEverywhere, listeners } = setting;
    const other = await instance(shared, token);
    await until(async () => (await listeners()) === 2);
    await other.warm();
    const userId = (await inspector().collection('users').findOne({ email: 'ada@example.com' }))?._id;
    const before = other.seen.reads;
    for (const text of [
      '',
      '{',
      'null',
      '7',
      '"user:"',
      '{"user":1}',
      '[null,7,{}]',
      '[[["user:"]]]',
      `["__proto__"]`,
    ])
      await looking.publish(channel, text);
    expect(await other.ask()).to.equal('Ada');
    expect(other.seen.reads).to.equal(before);

    await looking.publish(channel, JSON.stringify([`user:${userId}`]));
    await until(async () => {
      expect(await other.ask()).to.equal('Ada');
      return other.seen.reads > before;
    });
    await signOutEverywhere();
    await until(async () => (await other.ask()) === 'stranger');
    await looking.publish(channel, JSON.stringify([`user:${userId}`]));
    expect(await other.ask()).to.equal('stranger');
  });

  it('leaves no client of Redis behind when the connection is closed', async function () {
    const setting = await signedIn();
    if (!setting) return this.skip();
    const { redis, without, token, looking, listeners } = setting;
    const clients = async () => (String(await looking.client('LIST')).match(/^id=/gm) ?? []).length;
    await until(async () => (await listeners()) === 1);
    const before = await clients();
    const own = redisClient(redis.url);
    const given = await instance({ ...without, redis: own }, token);
    const byUrl = await instance({ ...without, redisUrl: redis.url }, token);
    await until(async () => (await listeners()) === 3);
    expect(await clients()).to.equal(before + 4);

    await Promise.all([given, byUrl].map(({ connection }) => connection.close()));

    await until(async () => (await clients()) === before + 1);
    expect(own.status).to.equal('ready'); // the application closes its own
    expect(own.listenerCount('ready') + own.listenerCount('end')).to.equal(0);
  });
});
