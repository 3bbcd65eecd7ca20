import { equal, ok } from 'node:assert/strict';
import type { Connection } from 'mongoose';
import { closedLoop, consume, consumeKeyed, counted, furnished, open, quotaWorld } from './quota-world.js';
import { compare, print, type Variant } from './runner.js';

const sizes = [10, 1_000, 100_000, 1_000_000];

/** What a database is filled with. */
interface Filling {
  readonly title: string;
  /** Asserts what it has stored. */
  fill(connection: Connection, size: number, uri: string): Promise<void>;
  send(connection: Connection, index: number): Promise<unknown>;
}

/** Whether what a request costs grows with what is stored: databases of four sizes beside each other, which take turns. */
const curve =
  ({ title, fill, send }: Filling) =>
  async (): Promise<void> => {
    const { uri, dbName, stop } = await quotaWorld();
    const variants: Variant[] = [];
    const opened: Connection[] = [];
    for (const size of sizes) {
      const connection = await furnished(uri, `${dbName}-${size}`);
      opened.push(connection);
      await fill(connection, size, uri);
      const loop = { inFlight: 128, requests: 10_000 };
      const name = `${size.toLocaleString('en')} ${title}`;
      variants.push(counted([name, 'ours'], connection, loop, (at) => send(connection, at)));
    }
    console.log(`\n### what a request costs by the number of ${title}\n`);
    print(await compare(variants, { rounds: 5 }));
    for (const connection of opened) await connection.close();
    await stop();
  };

export const byCounters = curve({
  title: 'counters',
  async fill(connection, size) {
    const ids = (at: number) => ({ s: `user:idle ${at}`, f: 'images' });
    await copies(connection, 'tollgate_usage', size, (row, at) => ({ ...row, _id: ids(at) }));
  },
  send: (connection, index) => consume(connection, `ours ${index % 10}`),
});

export const byKeys = curve({
  title: 'stored idempotency keys',
  async fill(connection, size) {
    await consumeKeyed(connection, 'warm');
    await copies(connection, 'tollgate_claims', size, (row, at) => ({
      ...row,
      _id: { ...(row._id as object), k: `old ${at}` },
    }));
    await copies(connection, 'tollgate_claimed_batches', size, (row, at) => ({ ...row, _id: `old ${at}` }));
  },
  send: (connection) => consumeKeyed(connection, 'ours'),
});

/** Ten processes count; between them so many others have, eleven minutes ago each time: their slots are dated back by as much. */
export const byStarts = curve({
  title: 'processes that were ever started',
  async fill(connection, size, uri) {
    const usage = connection.collection('tollgate_usage');
    const key = { _id: { s: 'user:ours', f: 'images' } } as object;
    for (let [started, each] = [0, size / 10]; started < size; started += each) {
      await consumeIn(uri, connection.name);
      const { p = {} } = (await usage.findOne(key)) as { p?: Record<string, object> };
      const [slot] = Object.values(p);
      const past = { ...slot, t: new Date(Date.now() - 660_000) };
      const slots = Array.from({ length: each }, (_, at) => [`x${started + at}`, past]);
      await usage.updateOne(key, { $set: { p: { ...p, ...Object.fromEntries(slots) } } });
    }
    await consumeIn(uri, connection.name);
    const { p = {} } = (await usage.findOne(key)) as { p?: object };
    ok(Object.keys(p).length < 20, 'slots that are over are not kept');
  },
  send: (connection) => consume(connection, 'ours'),
});

/** As another process does: with an engine of its own. */
async function consumeIn(uri: string, dbName: string): Promise<void> {
  const connection = await open(uri, dbName);
  await consume(connection, 'ours');
  await connection.close();
}

/** Fills a collection up with copies of its first document. */
async function copies(
  connection: Connection,
  name: string,
  size: number,
  copy: (row: Record<string, unknown>, at: number) => object,
): Promise<void> {
  const collection = connection.collection(name);
  const row = (await collection.findOne()) as Record<string, unknown>;
  for (let at = 0; at < size; at += 10_000) {
    const some = Array.from({ length: Math.min(10_000, size - at) }, (_, offset) => copy(row, at + offset));
    await collection.insertMany(some, { ordered: false });
  }
  ok((await collection.estimatedDocumentCount()) > size, `${name}: ${size} copies`);
}

/** What a process remembers of counters that nobody asks for any more. */
export async function memory(): Promise<void> {
  const { uri, dbName, stop } = await quotaWorld();
  const connection = await open(uri, dbName);
  await consume(connection, 'first');
  const held = () => {
    for (let index = 0; index < 4; index += 1) globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  ok(globalThis.gc, 'to be run with --expose-gc');
  console.log('\n### what a process remembers of idle counters\n');
  console.log('| counters | bytes for each | MB in all |\n| ---: | ---: | ---: |');
  const before = held();
  let count = 0;
  for (const size of [10_000, 100_000, 200_000]) {
    const more = size - count;
    await closedLoop({ inFlight: 128, requests: more }, (index) =>
      consume(connection, `idle ${count + index}`),
    );
    count = size;
    const idle = { '_id.s': /^user:idle /, u: 1 };
    equal(
      await connection.collection('tollgate_usage').countDocuments(idle),
      size,
      'counters with a unit each',
    );
    const bytes = held() - before;
    console.log(
      `| ${size.toLocaleString('en')} | ${Math.round(bytes / size)} | ${(bytes / 1e6).toFixed(1)} |`,
    );
  }
  await connection.close();
  await stop();
}
