import { equal } from 'node:assert/strict';
import { Redis } from 'ioredis';
import { type Connection, Schema } from 'mongoose';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { consumeQuota, withQuota } from '../dist/index.js';
import { startRedis } from '../test/support/redis.js';
import { tidy } from '../test/support/world.js';
import { openArrivals } from './arrivals.js';
import { byCounters, byKeys, byStarts, memory } from './quota-curves.js';
import { throughKoa } from './quota-koa.js';
import { severalProcesses } from './quota-processes.js';
import { byHand, closedLoop, consume, consumeKeyed, counted, quotaWorld, zipf } from './quota-world.js';
import { compare, print, type Variant } from './runner.js';
import { compareWaits } from './waits.js';

const rounds = 5;

/** What can be measured, by the name that the command line takes; all of it without one. */
const parts: Record<string, () => Promise<void>> = {
  async 'one counter'() {
    const { connection, stop } = await quotaWorld();
    for (const inFlight of [1, 8, 32, 128]) {
      const some = { inFlight, requests: Math.max(1_500, inFlight * 25) };
      const many = { inFlight, requests: Math.max(1_500, inFlight * 600) };
      await show(`one counter, ${inFlight} in flight`, [
        counted(['findOneAndUpdate by hand', 'raw'], connection, some, () => byHand.raw(connection, 'raw')),
        counted(['updateOne by hand', 'upd'], connection, some, () => byHand.upd(connection, 'upd')),
        counted(['consumeQuota', 'ours'], connection, many, () => consume(connection, 'ours')),
      ]);
    }
    const waits = (count: number, send: () => Promise<unknown>) => async () => {
      const took: number[] = [];
      await closedLoop({ inFlight: 128, requests: count }, async () => {
        const begun = performance.now();
        await send();
        took.push(performance.now() - begun);
      });
      equal(took.length, count);
      return took;
    };
    await compareWaits('one counter, what a request takes with 128 in flight', {
      'findOneAndUpdate by hand': waits(3_200, () => byHand.raw(connection, 'raw')),
      'updateOne by hand': waits(3_200, () => byHand.upd(connection, 'upd')),
      consumeQuota: waits(76_800, () => consume(connection, 'ours')),
    });
    await stop();
  },

  async redis() {
    const { connection, stop } = await quotaWorld();
    const server = await startRedis();
    if (!server) throw new Error('redis-server is not on the PATH');
    const storeClient = new Redis(server.url);
    const limiter = new RateLimiterRedis({ storeClient, points: 1e9, duration: 0, keyPrefix: 'rlf' });
    for (const inFlight of [128, 512]) {
      const loop = { inFlight, requests: inFlight * 100 };
      let sent = Number(await storeClient.get('rlf:key'));
      await show(`beside Redis without persistence, ${inFlight} in flight`, [
        {
          name: 'rate-limiter-flexible on Redis',
          async start() {
            const run = async () => {
              await closedLoop(loop, () => limiter.consume('key'));
              sent += loop.requests;
              return loop.requests;
            };
            const check = async () =>
              equal(Number(await storeClient.get('rlf:key')), sent, 'points in Redis');
            return { run, check, stop: () => {} };
          },
        },
        counted(['consumeQuota', 'ours'], connection, loop, () => consume(connection, 'ours')),
      ]);
    }
    storeClient.disconnect();
    await tidy();
    await stop();
  },

  async zipf() {
    const { connection, stop } = await quotaWorld();
    const keys = zipf(50_000, 10_000);
    const keyOf = (prefix: string, index: number) => `${prefix} ${keys[index % keys.length]}`;
    const warm = Array.from({ length: 10_000 }, (_, index) => index);
    for (const send of [byHand.upd, consume]) {
      const prefix = send === consume ? 'ours' : 'upd';
      await closedLoop({ inFlight: 64, requests: warm.length }, (index) =>
        send(connection, `${prefix} ${index}`),
      );
    }
    await show('10,000 counters, Zipf 1.1, 128 in flight', [
      counted(['updateOne by hand', 'upd'], connection, { inFlight: 128, requests: 3_000 }, (index) =>
        byHand.upd(connection, keyOf('upd', index)),
      ),
      counted(['consumeQuota', 'ours'], connection, { inFlight: 128, requests: 15_000 }, (index) =>
        consume(connection, keyOf('ours', index)),
      ),
    ]);
    await stop();
  },

  'three nodes': () =>
    besideOneWrite({
      nodes: 3,
      title: 'three nodes, one counter',
      name: 'consumeQuota',
      requests: [2_000, 20_000],
      send: consume,
    }),

  async 'with writes'() {
    const { connection, stop } = await quotaWorld();
    const Note = connection.model('Note', new Schema({ title: String }));
    await Note.createCollection();
    const written = (name: string, inFlight: number, requests: number, send: () => Promise<unknown>) =>
      inserted(name, connection, { inFlight, requests }, send);
    for (const inFlight of [32, 128]) {
      await show(`a consumption and an insert in one transaction, ${inFlight} in flight`, [
        written('a transaction by hand', inFlight, 60, () => plainTransaction(connection, 'hand')),
        written('withQuota, writes', inFlight, inFlight * 60, () =>
          withQuota({
            connection,
            subject: { type: 'user', id: 'writes' },
            amounts: { images: 1 },
            writes: [{ model: Note, insertOne: { document: { title: 'a note' } } }],
          }),
        ),
      ]);
      await show(`a transaction of the application's own, ${inFlight} in flight`, [
        written('the same without a quota', inFlight, inFlight * 10, () =>
          connection.transaction((session) => Note.insertMany([{ title: 'a note' }], { session })),
        ),
        written('withQuota, run', inFlight, inFlight * 10, () =>
          withQuota({
            connection,
            subject: { type: 'user', id: 'run' },
            amounts: { images: 1 },
            run: (session) => Note.insertMany([{ title: 'a note' }], { session }),
          }),
        ),
      ]);
    }
    await stop();
  },

  async exhausted() {
    const { connection, stop } = await quotaWorld();
    const refused = (work: Promise<unknown>) =>
      work.then(
        () => 0,
        () => 1,
      );
    for (const size of [10, 1_000, 100_000]) {
      const limiter = new RateLimiterMemory({
        points: 1,
        duration: 3_600,
        inMemoryBlockOnConsumed: 1,
      } as never);
      const exhaust = (name: string, send: (id: string) => Promise<unknown>): Variant => ({
        name,
        async start() {
          let denials = 0;
          const requests = 20_000;
          const run = async () => {
            denials = 0;
            await closedLoop({ inFlight: 128, requests }, async (index) => {
              const denied = await refused(send(`${name} ${index % size}`));
              denials += denied;
            });
            return requests;
          };
          const check = async () => equal(denials, requests, `${name}: refusals`);
          return { run, check, stop: () => {} };
        },
      });
      for (let index = 0; index < size; index += 1)
        await limiter.consume(`the memory of rate-limiter-flexible ${index}`);
      await show(`${size} counters that are used up, 128 in flight`, [
        exhaust('the memory of rate-limiter-flexible', (id) => limiter.consume(id)),
        exhaust('consumeQuota', (id) =>
          consumeQuota({ connection, subject: { type: 'user', id }, feature: 'never' }),
        ),
      ]);
    }
    await stop();
  },

  async arrivals() {
    const { connection, stop } = await quotaWorld();
    await openArrivals({
      updateOne: () => byHand.upd(connection, 'upd'),
      consumeQuota: () => consume(connection, 'ours'),
    });
    await stop();
  },

  keys: () =>
    besideOneWrite({
      nodes: 1,
      title: 'an idempotency key with every request',
      name: 'consumeQuota with a key',
      requests: [3_000, 12_800],
      send: consumeKeyed,
    }),

  'many counters': byCounters,
  'many keys': byKeys,
  'many starts': byStarts,
  memory,
  koa: throughKoa,
  processes: severalProcesses,
};

interface Beside {
  readonly nodes: number;
  readonly title: string;
  readonly name: string;
  /** Of the counter by hand, and of ours. */
  readonly requests: readonly [number, number];
  send(connection: Connection, id: string): Promise<unknown>;
}

/** One counter of ours, 128 requests in flight, beside one `findOneAndUpdate` for each. */
async function besideOneWrite({ nodes, title, name, requests: [few, many], send }: Beside): Promise<void> {
  const { connection, stop } = await quotaWorld({ nodes });
  const inFlight = 128;
  await show(`${title}, ${inFlight} in flight`, [
    counted(['findOneAndUpdate by hand', 'raw'], connection, { inFlight, requests: few }, () =>
      byHand.raw(connection, 'raw'),
    ),
    counted([name, 'ours'], connection, { inFlight, requests: many }, () => send(connection, 'ours')),
  ]);
  await stop();
}

let stored = 0; // notes, of all variants

/** A variant whose every run must raise the number of notes by the number of its requests. */
function inserted(
  name: string,
  connection: Connection,
  loop: { inFlight: number; requests: number },
  send: () => Promise<unknown>,
): Variant {
  const notes = connection.collection('notes');
  const start = async () => {
    await closedLoop({ ...loop, requests: Math.min(loop.inFlight, loop.requests) }, send);
    stored = await notes.countDocuments();
    const run = async () => {
      await closedLoop(loop, send);
      return loop.requests;
    };
    const check = async () => {
      const before = stored;
      stored = await notes.countDocuments();
      equal(stored - before, loop.requests, `${name}: notes`);
    };
    return { run, check, stop: () => {} };
  };
  return { name, start };
}

/** The peer of `withQuota`: a conditional count and an insert in a transaction of each request's own. */
const plainTransaction = (connection: Connection, _id: string) =>
  connection.transaction(async (session) => {
    const counters = connection.collection<{ _id: string; u: number }>('counters_by_hand');
    await counters.updateOne({ _id }, { $inc: { u: 1 } }, { upsert: true, session });
    await connection.collection('notes').insertOne({ title: 'a note' }, { session });
  });

async function show(title: string, variants: readonly Variant[]): Promise<void> {
  console.log(`\n### ${title}\n`);
  print(await compare(variants, { rounds }));
}

const wanted = process.argv.slice(2);
for (const [name, measure] of Object.entries(parts)) {
  if (wanted.length === 0 || wanted.includes(name)) await measure();
}
process.exit();
