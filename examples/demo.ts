import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import {
  type HealthCheck,
  optionsFromEnv,
  ready,
  type SharedOptions,
  shutDown,
  startWorker,
  Users,
} from 'koa-tollgate';
import mongoose, { type Connection } from 'mongoose';
import { startMongo } from '../test/support/mongodb.js';
import { demoApp } from './demo/app.js';
import { curlLines } from './demo/curl-lines.js';
import { people, seed } from './demo/seed.js';

const { env } = process;
const folder = env.DATA_FOLDER ?? fileURLToPath(new URL('../.data', import.meta.url));
const production = env.NODE_ENV === 'production';

/** What was started, undone in reverse by Ctrl-C, SIGTERM, or an error on the way up. */
const undo: (() => Promise<unknown>)[] = [];

async function start(): Promise<void> {
  const fresh = process.argv.includes('--fresh');
  const port = portOf(env.PORT ?? '3000');
  const connection = await connect(await mongodbUri(fresh));
  const origin = env.TOLLGATE_PUBLIC_URL ?? env.PUBLIC_URL ?? `http://localhost:${port}`;
  const secure = env.TOLLGATE_COOKIE_SECURE ?? env.COOKIE_SECURE ?? String(origin.startsWith('https:'));
  const settings = {
    ...env,
    PUBLIC_URL: origin,
    SECRET: env.TOLLGATE_SECRET ?? env.SECRET ?? (await ownSecret()),
    COOKIE_SECURE: secure,
    MAIL_RATE: env.MAIL_RATE ?? env.TOLLGATE_CREDENTIAL_RATE ?? env.CREDENTIAL_RATE,
  };
  const mail = mailOptions(env.TOLLGATE_SMTP_URL ?? env.SMTP_URL);
  const redis = redisClient();
  const shared = { ...optionsFromEnv(settings, ['TOLLGATE_', '']), ...mail, redis, connection };
  await ready(shared);
  await startJobs(shared);
  if (!production) await seedOwn(shared);
  const checks: Record<string, HealthCheck> = redis ? { redis: { check: () => redis.ping() } } : {};
  const server = demoApp(shared, checks).listen(port);
  await once(server, 'listening');
  undo.push(() => shutDown(shared));
  undo.push(() => close(server));
  console.log(`koa-tollgate demo: ${origin}\n`);
  if (!production) console.log(await curlLines(origin, connection));
}

/** The worker, which delivers the mails: without an SMTP server each is one line of standard output. */
async function startJobs(shared: SharedOptions): Promise<void> {
  const worker = await startWorker(shared);
  undo.push(() => worker.stop());
}

function mailOptions(smtpUrl: string | undefined): Partial<SharedOptions> {
  if (smtpUrl) return {};
  if (production)
    throw new Error('Set SMTP_URL and MAIL_FROM: the demo prints its mails in development only');
  return {
    mail: async ({ to, subject, text }) => console.log(JSON.stringify({ mail: { to, subject, text } })),
  };
}

/** Its people have passwords that everybody knows, so they never come among those of somebody else. */
async function seedOwn(shared: SharedOptions & { connection: Connection }): Promise<void> {
  const { connection } = shared;
  const strangers = await Users(connection).exists({
    email: { $gte: '', $nin: people.map(({ email }) => email) },
  });
  const seededBefore = await Users(connection).exists({ email: 'admin@example.com' });
  if (strangers && !seededBefore) {
    throw new Error(
      `The database ${connection.name} has users already; name another in MONGODB_DB for the demo and its people`,
    );
  }
  await seed(shared);
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new Error(`PORT must be a number from 1 to 65535, not "${text}"`);
}

async function mongodbUri(fresh: boolean): Promise<string> {
  const given = env.TOLLGATE_MONGODB_URI ?? env.MONGODB_URI;
  if (given && fresh)
    throw new Error('--fresh forgets the embedded database only; drop the one at MONGODB_URI yourself');
  if (given) return given;
  if (production) throw new Error('Set MONGODB_URI: the embedded database is for development');
  if (fresh)
    await Promise.all(
      ['mongodb', 'secret'].map((name) => rm(join(folder, name), { recursive: true, force: true })),
    );
  const mongo = await startMongo({ dataPath: join(folder, 'mongodb') });
  undo.push(() => mongo.stop());
  return mongo.uri;
}

async function connect(uri: string): Promise<Connection> {
  const dbName = env.TOLLGATE_MONGODB_DB ?? env.MONGODB_DB ?? 'koa_tollgate_demo';
  const options = { serverSelectionTimeoutMS: 5_000, dbName };
  const connection = await mongoose
    .createConnection(uri, options)
    .asPromise()
    .catch((error: Error) => {
      throw new Error(
        `No MongoDB answers at MONGODB_URI (${error.message}); start it there as a replica set, or unset MONGODB_URI`,
      );
    });
  undo.push(() => connection.close());
  return connection;
}

/** Sessions survive a restart because the secret does. */
async function ownSecret(): Promise<string | undefined> {
  if (production) return undefined;
  const file = join(folder, 'secret');
  await mkdir(folder, { recursive: true });
  await writeFile(file, randomBytes(48).toString('base64url'), { flag: 'wx', mode: 0o600 }).catch((error) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return readFile(file, 'utf8');
}

/** Redis is optional: where one is configured, its loss only degrades the application. */
function redisClient(): Redis | undefined {
  const url = env.TOLLGATE_REDIS_URL ?? env.REDIS_URL;
  if (!url) return undefined;
  const redis = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 1 });
  redis.on('error', () => {}); // the check of /health tells
  undo.push(async () => redis.disconnect());
  return redis;
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

let stopping = false;
async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  for (const step of undo.reverse()) await step().catch(() => {});
  process.exit(code);
}

function explain(error: Error & { code?: string; port?: number }): string {
  if (error.code !== 'EADDRINUSE') return error.message;
  return `Port ${error.port} is taken: stop the program that has it, or choose another: PORT=${(error.port ?? 3000) + 1} npm start`;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(0));
start().catch((error) => {
  console.error(explain(error));
  return stop(1);
});
