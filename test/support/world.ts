import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import type Koa from 'koa';
import mongoose, { type Connection } from 'mongoose';
import request, { type Test } from 'supertest';
import { demoApp } from '../../examples/demo/app.js';
import { organizationId, seed } from '../../examples/demo/seed.js';
import { ready, type SharedOptions } from '../../lib/index.js';

/** The name by which MongoDB's profiler tells the library's commands from those of the tests themselves. */
export const appName = 'koa-tollgate';
export const dbName = `tollgate_test_${process.pid}`;

/** Passwords of the people whom the demo begins with. */
const passwords: Record<string, string> = {
  'admin@example.com': 'adminpass123',
  'ada@example.com': 'lovelace-1815',
  'bob@example.com': 'builder-1999',
};

export const secret = 'a secret of more than thirty-two bytes';

const tidyUp: (() => Promise<unknown>)[] = [];

/** Undone when the test ends, the last first. */
export function atEnd(step: () => Promise<unknown>): void {
  tidyUp.push(step);
}

export async function tidy(): Promise<void> {
  for (const step of tidyUp.splice(0).reverse()) await step();
}

const state: { uri?: string; inspector?: Connection } = {};

/** Indexes are built once, by `ready()`: no connection of the tests builds them in the background. */
const bare = { autoIndex: false, autoCreate: false };

export async function openInspector(uri: string): Promise<void> {
  state.uri = uri;
  state.inspector = await mongoose.createConnection(uri, { dbName, appName: 'tests', ...bare }).asPromise();
  await ready(state.inspector);
}

/** A connection of the tests' own, to look at the database with: what it does is not held against the library. */
export function inspector(): Connection {
  if (!state.inspector) throw new Error('the root hooks have not run');
  return state.inspector;
}

export function mongoUri(): string {
  if (!state.uri) throw new Error('the root hooks have not run');
  return state.uri;
}

/** A connection as an application would open it; closed when the test ends. */
export async function connect(uri = mongoUri(), options: mongoose.ConnectOptions = {}): Promise<Connection> {
  const connection = await mongoose
    .createConnection(uri, { dbName, appName, ...bare, ...options })
    .asPromise();
  connection.on('error', () => {}); // tests break connections on purpose
  atEnd(() => connection.destroy(true)); // closed ones Mongoose would keep, with all that hangs on them
  return connection;
}

/** The database, which has every index, without a document, and options to share. */
export async function emptyWorld(options: Partial<SharedOptions> = {}) {
  const connection = await connect();
  const collections = (await inspector().listCollections()).filter(({ name }) => !name.startsWith('system.'));
  await endAbandoned();
  await Promise.all(collections.map(({ name }) => inspector().collection(name).deleteMany({})));
  const cookies = { secure: false };
  const shared = {
    keys: [secret],
    passwordCost: 10,
    credentialRate: 'off', // tests of the budgets say their own
    mailRate: 'off',
    cookies,
    ...options,
    connection,
  } satisfies SharedOptions;
  return { connection, shared };
}

/** Ends the transactions of processes that were killed: MongoDB would keep what they have locked for a minute. */
export async function endAbandoned(): Promise<void> {
  const $currentOp = { allUsers: true, idleConnections: true, idleSessions: true };
  const admin = inspector().getClient().db('admin');
  const found = await admin.aggregate([{ $currentOp }]).toArray();
  const isSession = ({ type }: { type?: string }) => type === 'idleSession';
  const connected = new Set(found.filter((one) => !isSession(one)).map(({ connectionId }) => connectionId));
  const abandoned = found.filter(
    (one) => isSession(one) && one.transaction && !connected.has(one.connectionId),
  );
  if (abandoned.length > 0) await admin.command({ killSessions: abandoned.map(({ lsid }) => lsid) });
}

/** The people and organizations that the demo begins with, its application, and clients for it. */
export async function world(options: Partial<SharedOptions> = {}) {
  const { connection, shared } = await emptyWorld(options);
  await seedOnce(shared);
  const server = await serve(demoApp(shared));
  const [acme, globex] = await Promise.all(
    ['acme', 'globex'].map((slug) => organizationId(connection, slug)),
  );
  return { connection, shared, server, acme: acme as string, globex: globex as string, ...clientsOf(server) };
}

const seeded = new Map<string, unknown[]>();

/** Hashing passwords takes a while, so what the seed made is kept and put back for later tests that hash alike. */
async function seedOnce(shared: SharedOptions & { connection: Connection }): Promise<void> {
  const { peppers, passwordCost } = shared;
  const kind = JSON.stringify({ peppers, passwordCost });
  const names = ['users', 'roles', 'organizations', 'memberships', 'teams', 'plans', 'subscriptions'];
  const collections = names.map((name) => [`${kind} ${name}`, inspector().collection(name)] as const);
  if (seeded.has(`${kind} users`)) {
    await Promise.all(collections.map(([key, collection]) => collection.insertMany(seeded.get(key) as [])));
    return;
  }
  await seed(shared);
  for (const [key, collection] of collections) seeded.set(key, await collection.find().toArray());
}

/** Lets an application listen on a free port until the test ends. */
export async function serve(app: Koa): Promise<Server> {
  app.silent = !process.env.SHOW_ERRORS;
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(async () => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

export const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** A port that nobody listens on just now, for a program that must be told one. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
export type Client = Record<Method, (path: string, body?: object) => Test>;

/** Clients of a server: `anyone()` without a credential, `as(email)` with a Bearer token of that person. */
export function clientsOf(server: Server | string) {
  const send = (headers: Record<string, string>): Client => {
    const method = (verb: Method) => (path: string, body?: object) => {
      const test = request(server)[verb](path).set(headers);
      return body ? test.send(body) : test;
    };
    return {
      get: method('get'),
      post: method('post'),
      put: method('put'),
      patch: method('patch'),
      delete: method('delete'),
    };
  };
  const signIn = (email: string) =>
    send({}).post('/auth/sign-in', { email, password: passwords[email] as string });
  const as = async (email: string, headers: Record<string, string> = {}) => {
    const { body } = await signIn(email).expect(200);
    return send({ Authorization: `Bearer ${body.accessToken}`, ...headers });
  };
  return { anyone: () => send({}), withHeaders: send, signIn, as };
}

export const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** How many of `items` have each value of `key`. */
export function countBy<K extends string>(
  items: readonly { readonly [key in K]: string | number }[],
  key: K,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) {
    const value = String(item[key]);
    counts[value] = (counts[value] ?? 0) + 1;
  }
  return counts;
}

/** Asks again until `condition` holds. The runner's own time limit ends a test that waits in vain; two minutes end the wait, or the runner would never exit. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 120_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('until(): it did not come true within two minutes');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
