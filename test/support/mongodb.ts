import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import mongoose from 'mongoose';
import { host, Mongod, replicaSet } from './mongod.js';
import { findMongod } from './mongod-binary.js';

export { findMongod } from './mongod-binary.js';

export interface MongoOptions {
  nodes?: number;
  /** A folder that keeps the data between runs; without it they are gone after `stop()`. */
  dataPath?: string;
  /** Of the first node; the others follow. Any free one by default. */
  port?: number;
  /** Such as `enableTestCommands=1` or `ttlMonitorSleepSecs=1`. */
  parameters?: string[];
}

export interface MongoServer {
  uri: string;
  /** With `port`, the address of the first node: what a proxy or a direct connection needs. */
  host: string;
  port: number;
  stop(): Promise<void>;
  /** SIGKILLs every node, as a power cut would. */
  kill(): Promise<void>;
  /** Starts again on the same ports and data after `kill()`; resolves when writes are accepted. */
  restart(): Promise<void>;
}

/**
 * Starts a real MongoDB replica set on this machine; resolves when it accepts writes.
 *
 * The servers end with this process, however it ends, and do not keep it alive.
 */
export async function startMongo(options: MongoOptions = {}): Promise<MongoServer> {
  const { nodes: count = 1, dataPath, parameters = [] } = options;
  const { binary } = await findMongod();
  const scratch = await mkdtemp(join(tmpdir(), 'koa-tollgate-'));
  const nodes = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const port = options.port ? options.port + index : await freePort();
      const data = resolve(dataPath ?? scratch, `node-${index}`);
      return new Mongod(binary, port, data, scratch, parameters);
    }),
  );
  const uri = `mongodb://${nodes.map(({ address }) => address).join(',')}/?replicaSet=${replicaSet}`;

  const start = async () => {
    await Promise.all(nodes.map((node) => node.start()));
    await formReplicaSet(nodes);
    // A write into the oplog alone, sent once there is a primary and answered once every node has it.
    const note = { appendOplogNote: 1, data: { ready: true }, writeConcern: { w: count } };
    await withClient(uri, (admin) => admin.command(note));
  };
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.end(dataPath ? 'SIGTERM' : 'SIGKILL')));
    await rm(scratch, { recursive: true, force: true });
  };
  const kill = async () => void (await Promise.all(nodes.map((node) => node.end('SIGKILL'))));

  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { uri, host, port: (nodes[0] as Mongod).port, stop, kill, restart: start };
}

/** The replica set that the tests use: the one that TOLLGATE_TEST_MONGODB_URI names, else one started here. */
export async function testMongoUri(): Promise<{ uri: string; stop(): Promise<void> }> {
  const uri = process.env.TOLLGATE_TEST_MONGODB_URI;
  return uri ? { uri, stop: async () => {} } : startMongo({ parameters: ['enableTestCommands=1'] });
}

/** Makes the nodes one set, whether their data are new or from an earlier run, maybe on other ports. */
async function formReplicaSet(nodes: Mongod[]): Promise<void> {
  const members = nodes.map(({ address }, index) => ({ _id: index, host: address }));
  const settings = nodes.length > 1 ? { electionTimeoutMillis: 500, heartbeatIntervalMillis: 100 } : {};
  await withClient(`mongodb://${members[0]?.host}/?directConnection=true`, async (admin) => {
    try {
      await admin.command({ replSetInitiate: { _id: replicaSet, members, settings } });
    } catch (error) {
      if (!(error instanceof mongoose.mongo.MongoServerError && error.codeName === 'AlreadyInitialized'))
        throw error;
      const { config } = await admin.command({ replSetGetConfig: 1 });
      // On other ports than last time no node finds itself in the set, so that none would become the primary.
      const moved = { settings: { ...config.settings, ...settings }, members, version: config.version + 1 };
      await admin.command({ replSetReconfig: { ...config, ...moved }, force: true });
    }
    // Asked here because a client of the whole set looks only twice a second.
    for (let ready = false; !ready; await delay(20)) {
      const { primary, isWritablePrimary, secondary } = await admin.command({ hello: 1 });
      ready = Boolean(primary) && (isWritablePrimary || secondary);
    }
  });
}

async function withClient<T>(uri: string, use: (admin: mongoose.mongo.Db) => Promise<T>): Promise<T> {
  const client = new mongoose.mongo.MongoClient(uri);
  try {
    return await use(client.db('admin'));
  } finally {
    await client.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
