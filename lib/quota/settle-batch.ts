import type { Connection } from 'mongoose';
import type { Position } from '../models/claim.js';
import { Usage, type UsageKey } from '../models/usage.js';
import { database } from '../runtime/database.js';
import { type Batch, type Fate, fold, type Outcome } from './batch.js';
import { claimBook } from './claim-book.js';
import { type BatchRow, claimStore } from './claim-store.js';
import { databaseClock } from './database-clock.js';
import { Sender } from './sender.js';
import { type Taken, takenOf } from './taken.js';

/** What a part of a batch met, with what it was. */
export interface Charge extends Taken {
  readonly amount: number;
  /** Whose counter it was. */
  readonly feature: string;
}

/** `none`: it was not counted and never will be; `lost`: nobody can tell any more. */
export type Fortune = Charge | 'none' | 'lost';

/** For whoever only gives back: no newer ones than a counter has. */
export const anyTerms = { limit: null, per: 'lifetime', version: 0 } as const;

/** Milliseconds after which a counter may have forgotten what a process did last: a minute before it does. */
const forgotten = 9 * 60_000;

/**
 * What became of a part of a batch, for ever: as its process has noted it, else as the counter's slot tells. Where that tells
 * nothing the batch is fenced, so that it cannot take effect any more. To be asked only when its process has let go of it.
 */
export async function settlePosition(
  connection: Connection,
  { b, i }: Position,
  subject: string,
): Promise<Fortune> {
  const row = await claimStore(connection).readBatch(b);
  if (!row)
    return (await claimBook(connection).giveUp(b)) ? 'none' : settlePosition(connection, { b, i }, subject);
  return positionIn(row, i) ?? (await settle(connection, row, i, { s: subject, f: row.feature }));
}

/** What has been noted of a part; undefined: nothing. */
export function positionIn(row: BatchRow, position: number): Fortune | undefined {
  if (row.outcome === null) return undefined;
  const index = row.parts.findIndex(({ i }) => i === position);
  if (row.outcome === 'void' || index === -1) return 'none';
  const { at, ...outcome } = row.outcome;
  const fate = fold(partsOf(row), outcome)[index] as Fate;
  const { amount } = row.parts[index] as BatchRow['parts'][number];
  return { ...takenOf(outcome, fate, at), amount, feature: row.feature };
}

const partsOf = ({ parts }: BatchRow): Batch['parts'] =>
  parts.map(({ amount, from }) => ({ amount, from: from ?? undefined }));

async function settle(
  connection: Connection,
  row: BatchRow,
  position: number,
  key: UsageKey,
): Promise<Fortune> {
  const { slot, sequence, deadline, overage } = row;
  const terms = { ...anyTerms, overage };
  const batch: Batch = { key, terms, parts: partsOf(row), slot, sequence, deadline, isFirst: false };
  const age = databaseClock(connection).now().getTime() - deadline.getTime();
  const isFenced = age < forgotten && (await fence(connection, batch));
  const met = isFenced ? 'void' : await outcomeOf(connection, batch);
  if (met === undefined) {
    const later = await claimStore(connection).readBatch(row._id); // its lane went on, so it has been noted
    return (later && positionIn(later, position)) ?? ((await exists(connection, key)) ? 'lost' : 'none');
  }
  const at = databaseClock(connection).now();
  await claimBook(connection).record(batch, met, at);
  return positionIn({ ...row, outcome: met === 'void' ? met : { ...met, at } }, position) ?? 'none';
}

/** Fills the slot of a batch that has not come yet, so that it comes too late; false: the slot is filled, or there is no counter. */
async function fence(connection: Connection, { key, slot, sequence }: Batch): Promise<boolean> {
  const free = { _id: key, [`p.${slot}.n`]: { $not: { $gte: sequence } } };
  const mine = { n: sequence, s: 'void', b: 0, m: null };
  const filled = Object.entries(mine).map(([name, value]) => [`p.${slot}.${name}`, value]);
  const update = { $set: Object.fromEntries(filled), $currentDate: { [`p.${slot}.t`]: true } };
  const { matchedCount } = await database(() =>
    Usage(connection).collection.updateOne(free as object, update as object, {
      writeConcern: { w: 'majority' },
    }),
  );
  return matchedCount === 1;
}

/** What the slot tells; undefined: it is another's, or there is no counter. */
async function outcomeOf(connection: Connection, batch: Batch): Promise<Outcome | 'void' | undefined> {
  const found = await database(() => new Sender(connection).found(batch));
  return found === 'late' || found?.granted === 'none' ? 'void' : found;
}

const exists = async (connection: Connection, key: UsageKey): Promise<boolean> =>
  (await database(() => Usage(connection).collection.findOne({ _id: key } as object, { projection: { _id: 1 } }))) !== null; // biome-ignore format: a question
