import { equal } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import mongoose, { type Connection } from 'mongoose';
import { consumeQuota, ready, syncPlans } from '../dist/index.js';
import { startMongo } from '../test/support/mongodb.js';
import type { Variant } from './runner.js';

const images = { limit: 1_000_000_000, per: 'month' } as const;
const never = { limit: 0, per: 'month' } as const;

/** A replica set of its own with a plan that everybody is on. */
export async function quotaWorld({ nodes = 1 }: { nodes?: number } = {}) {
  const server = await startMongo({ nodes });
  const dbName = `tollgate-bench-${randomUUID().slice(0, 8)}`;
  const connection = await furnished(server.uri, dbName);
  const stop = async () => {
    await connection.close();
    await server.stop();
  };
  return { uri: server.uri, dbName, connection, stop };
}

export type QuotaWorld = Awaited<ReturnType<typeof quotaWorld>>;

/** A database with indexes and the plan. */
export async function furnished(uri: string, dbName: string): Promise<Connection> {
  const connection = await open(uri, dbName);
  await ready(connection);
  const free = { name: 'Free', tier: 0, default: true, features: { images, never } } as const;
  await syncPlans({ connection, plans: { free } });
  await consume(connection, 'warm');
  return connection;
}

export const open = (uri: string, dbName: string): Promise<Connection> =>
  mongoose.createConnection(uri, { dbName, autoIndex: false, maxPoolSize: 128 }).asPromise();

/** What is measured of ours. */
export const consume = (connection: Connection, id: string): Promise<unknown> =>
  consumeQuota({ connection, subject: { type: 'user', id }, feature: 'images' });

let keys = 0;

/** The same with an idempotency key of its own for each request. */
export function consumeKeyed(connection: Connection, id: string): Promise<unknown> {
  keys += 1;
  const subject = { type: 'user', id } as const;
  return consumeQuota({ connection, subject, feature: 'images', idempotencyKey: `key ${keys}` });
}

const counters = (connection: Connection) =>
  connection.collection<{ _id: string; u: number }>('counters_by_hand');
const update = { $inc: { u: 1 } };
const durably = { upsert: true, writeConcern: { w: 'majority' } } as const;

/** The counter by hand: one conditional write for each request, as durable as ours. */
export const byHand = {
  /** One `findOneAndUpdate`, which gives what is used. */
  raw: (connection: Connection, _id: string): Promise<unknown> =>
    counters(connection).findOneAndUpdate({ _id, u: { $lt: images.limit } }, update, durably),
  /** One `updateOne`: the strongest form that asks once for each request. */
  upd: (connection: Connection, _id: string): Promise<unknown> =>
    counters(connection).updateOne({ _id, u: { $lt: images.limit } }, update, durably),
};

/** Units that the database holds of the counters whose names begin with `prefix`, ours and those by hand. */
export async function unitsOf(connection: Connection, prefix: string): Promise<number> {
  let units = 0;
  for (const name of ['tollgate_usage', 'counters_by_hand']) {
    const id = { $ifNull: ['$_id.s', '$_id'] };
    const own = { $expr: { $regexMatch: { input: id, regex: `^(user:)?${prefix}` } } };
    const sums = connection
      .collection(name)
      .aggregate([{ $match: own }, { $group: { _id: null, u: { $sum: '$u' } } }]);
    for await (const { u } of sums) units += u;
  }
  return units;
}

export interface Loop {
  /** Requests that are under way at any time. */
  readonly inFlight: number;
  readonly requests: number;
}

/** Sends the next request whenever one is answered. */
export async function closedLoop(
  { inFlight, requests }: Loop,
  send: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const sender = async () => {
    while (next < requests) {
      const index = next;
      next += 1;
      await send(index);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, sender));
}

/** A variant whose every run must raise the units of its counters, which begin with `prefix`, by the number of its requests. */
export function counted(
  [name, prefix]: readonly [name: string, prefix: string],
  connection: Connection,
  loop: Loop,
  send: (index: number) => Promise<unknown>,
): Variant {
  const start = async () => {
    await send(0); // alone: upserts of one counter would collide
    await closedLoop({ ...loop, requests: loop.inFlight }, send);
    let units = await unitsOf(connection, prefix);
    const run = async () => {
      await closedLoop(loop, send);
      return loop.requests;
    };
    const check = async () => {
      const before = units;
      units = await unitsOf(connection, prefix);
      equal(units - before, loop.requests, `${name}: units`);
    };
    return { run, check, stop: () => {} };
  };
  return { name, start };
}

/** `count` numbers below `size`, of which few come often (Zipf's law with exponent 1.1); always the same ones. */
export function zipf(count: number, size: number): number[] {
  const sums: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= size; rank += 1) {
    sum += rank ** -1.1;
    sums.push(sum);
  }
  let state = 42;
  return Array.from({ length: count }, () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    const wanted = (state / 2 ** 32) * sum;
    let [low, high] = [0, size - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}
