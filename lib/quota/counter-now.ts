import type { Connection } from 'mongoose';
import { Usage, type UsageKey } from '../models/usage.js';
import { database } from '../runtime/database.js';
import type { Terms } from './batch.js';
import { type Counter, stateOf } from './sender.js';
import { turning } from './turning.js';

/** A counter as the next consumption would find it. */
export interface CounterNow extends Counter {
  readonly at: Date;
  /** Units used, of everything. */
  readonly used: number;
  /** Units that could be used in all: without what may be used beyond the limit, and with it; null: no limit. */
  readonly own: number | null;
  readonly capacity: number | null;
}

/**
 * Reads a counter as it is in the period of now and by these terms, or newer ones that it has heard of: counts and changes nothing.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 */
export async function counterNow(
  connection: Connection,
  { key, terms }: { readonly key: UsageKey; readonly terms: Terms },
): Promise<CounterNow> {
  const stages = [...turning(terms), { $set: { at: '$$NOW' } }, { $unset: ['p', 't', 'w'] }];
  const found = [{ $match: { _id: key } }, ...stages];
  const [stored] = await database(() => Usage(connection).aggregate<Counter & { at: Date }>(found as never));
  const counter = stored ?? (await nobodys(connection, key, stages));
  return { ...counter, ...stateOf(counter, { terms }) };
}

/** What a counter that nobody has used yet would begin as. */
async function nobodys(
  connection: Connection,
  _id: UsageKey,
  stages: object[],
): Promise<Counter & { at: Date }> {
  const { db } = connection;
  const documents = [{ $documents: [{ _id: { $literal: _id }, u: 0 }] }, ...stages];
  const [counter] = await database(async () => (await db?.aggregate(documents).toArray()) ?? []);
  return counter as Counter & { at: Date };
}
