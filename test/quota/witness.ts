import { setTimeout as delay } from 'node:timers/promises';
import type { Connection, mongo } from 'mongoose';
import { collectionName } from './engine.js';

/** A counter as it was before or after a write. */
export interface Row {
  readonly _id: { readonly s: string; readonly f: string };
  readonly u: number;
  readonly o?: number;
  readonly lim?: number | null;
  /** Not there before the first use. */
  readonly from?: Date;
  readonly to?: Date;
  readonly balances?: readonly {
    readonly i: string;
    readonly l: number;
    readonly s: number;
    readonly e: Date;
  }[];
  readonly p?: Readonly<Record<string, { readonly n: number; readonly t?: Date }>>;
  /** As the newest entitlements say. */
  readonly lv?: number;
  readonly t?: { readonly rollover?: { readonly cap: number; readonly periods: number } };
}

/** Says what is wrong with a write. */
export type Judge = (before: Row | null | undefined, after: Row) => readonly string[];

export interface Seen {
  readonly writes: number;
  readonly violations: readonly string[];
}

/** Behind it there is nothing more to be seen. */
const end = { _id: { s: 'witness:end', f: 'end' } };

/**
 * Looks at every single write of every counter, as it was before and after, until it is asked what it has seen: a counter never
 * rises above the limit that is in force in that very write, and no number of a process and lane comes twice. `judge` may know more.
 */
export async function witness(connection: Connection, judge: Judge = () => []): Promise<() => Promise<Seen>> {
  const { db } = connection;
  if (!db) throw new Error('The connection is not open');
  await keepImages(db, true);
  const next = follow(db.collection<Row>(collectionName));
  const violations: string[] = [];
  let writes = 0;
  await next(); // opens it
  const reading = (async () => {
    while (true) {
      const change = await next();
      if (!change || !('fullDocument' in change) || !change.fullDocument) continue;
      if (change.fullDocument._id.s === end._id.s) return;
      writes += 1;
      const before = 'fullDocumentBeforeChange' in change ? change.fullDocumentBeforeChange : undefined;
      violations.push(...wrongIn(before, change.fullDocument), ...judge(before, change.fullDocument));
    }
  })();
  return async () => {
    await db.collection<object>(collectionName).insertOne(end as never, { writeConcern: { w: 'majority' } });
    await reading;
    await db.collection<object>(collectionName).deleteOne(end as never);
    await keepImages(db, false);
    return { writes, violations };
  };
}

/** Whether MongoDB keeps what a counter was before and after each write; the collection may not be there yet. */
async function keepImages(db: mongo.Db, enabled: boolean): Promise<void> {
  const changeStreamPreAndPostImages = { enabled };
  await db
    .command({ collMod: collectionName, changeStreamPreAndPostImages })
    .catch(() => db.createCollection(collectionName, { changeStreamPreAndPostImages }));
}

/** The changes of a collection, one after the other: an election may end the stream in the midst of its own resumption. */
function follow(counters: mongo.Collection<Row>) {
  const options = { fullDocument: 'required', fullDocumentBeforeChange: 'whenAvailable' } as const;
  let stream = counters.watch([], options);
  return async () => {
    for (let failures = 0; ; failures += 1) {
      try {
        return await stream.tryNext();
      } catch (error) {
        if (failures === 100) throw error;
        const { resumeToken } = stream;
        await stream.close().catch(() => {});
        await delay(100);
        stream = counters.watch([], { ...options, ...(resumeToken ? { resumeAfter: resumeToken } : {}) });
      }
    }
  };
}

function wrongIn(before: Row | null | undefined, row: Row): string[] {
  const { _id, u, lim, from, balances = [], p = {} } = row;
  const wrong: string[] = [];
  const then = before?.from?.getTime() === from?.getTime() ? (before?.u ?? 0) : 0;
  if (lim === undefined && from) wrong.push(`${_id.s}: has no limit`);
  if (lim !== null && lim !== undefined && u > then && u > lim)
    wrong.push(`${_id.s}: rose to ${u} above ${lim}`);
  if (balances.some(({ l, s }) => l < 0 || s < 0)) wrong.push(`${_id.s}: has spent more than a balance held`);
  for (const [slot, { n }] of Object.entries(p)) {
    const last = before?.p?.[slot]?.n ?? 0;
    if (n < last) wrong.push(`${_id.s}: ${slot} went back from ${last} to ${n}`);
  }
  return wrong;
}
