import type { ClientSession, Connection } from 'mongoose';
import { keysOf, Usage } from '../models/usage.js';
import { beginAnew } from '../runtime/begin-anew.js';
import { type Subject, subjectKey } from '../runtime/subject.js';
import type { Terms } from './batch.js';
import { dated, renewed, retuned } from './turning.js';

/**
 * Locks the counters that a subject has, for the transaction of `session`, whose first command it has to be: were one of them changed by others
 * after anything was read, all would begin anew, and those of a busy subject are changed all the time.
 */
export async function lockCounters(
  connection: Connection,
  session: ClientSession,
  subject: Subject,
): Promise<void> {
  const mine = keysOf(subjectKey(subject));
  await Usage(connection).collection.updateMany(mine as never, { $inc: { c: 1 } }, { session });
}

export interface Retune {
  readonly subject: Subject;
  /** Of the subject's entitlements, as they are from now on. */
  readonly version: number;
  /** How each feature is counted from now on; undefined where it was counted until now, and is no more. */
  readonly terms: ReadonlyMap<string, Terms | undefined>;
}

/**
 * Puts new limits into the counters of a subject, in the transaction of `session` that changes what it may use: so no process that
 * has not heard of the change yet can grant above them. A counter that nobody has used yet begins with its limit, for such a process would
 * begin it with the old one; what is not counted any more has a limit of 0.
 *
 * A period that has begun ends as it began. One for life ends now, where another is counted by. One that is over, though nobody has come since, gives
 * way to the next: what it leaves over is of its own limit.
 */
export async function retune(
  connection: Connection,
  session: ClientSession,
  { subject, version, terms }: Retune,
): Promise<void> {
  const s = subjectKey(subject);
  const none = { limit: 0, per: 'lifetime', version } as const;
  const others = { ...keysOf(s), '_id.f': { $nin: [...terms.keys()] } };
  const isOver = { to: { $exists: true }, $expr: { $lte: ['$to', '$$NOW'] } };
  const named = [...terms].flatMap(([f, each = none]) => [
    { updateOne: { filter: { _id: { s, f }, ...isOver }, update: renewed(each) } },
    { updateOne: { filter: { _id: { s, f } }, update: [{ $set: retuned(each) }], upsert: true } },
  ]);
  const operations = [{ updateMany: { filter: others, update: [{ $set: retuned(none) }] } }, ...named];
  try {
    await Usage(connection).collection.bulkWrite(operations as never, { session });
  } catch (error) {
    const isBegun = (error as { code?: unknown }).code === 11_000;
    throw isBegun ? beginAnew('Somebody has begun the counter meanwhile') : error;
  }
}

/**
 * Lets nothing be used of a subject's counters, in the transaction of `session`: of `features`, or all. Their period begins now, so
 * that what was taken before is not given back into it; it ends as it would have. Where it has ended nothing is used of the next one yet,
 * and what the last one has used is needed for what it leaves over.
 */
export async function resetCounters(
  connection: Connection,
  session: ClientSession,
  { subject, features }: { readonly subject: Subject; readonly features?: readonly string[] | undefined },
): Promise<void> {
  const whole = { $map: { input: '$balances', as: 'b', in: { $mergeObjects: ['$$b', { s: 0 }] } } };
  const balances = { $cond: [{ $isArray: '$balances' }, whole, '$$REMOVE'] };
  const slots = { $arrayToObject: dated({ $objectToArray: '$p' }) };
  const p = { $cond: [{ $eq: [{ $type: '$p' }, 'object'] }, slots, '$$REMOVE'] };
  const which = {
    ...keysOf(subjectKey(subject)),
    ...(features && { '_id.f': { $in: [...features] } }),
    $expr: { $gt: ['$to', '$$NOW'] },
  };
  const update = [{ $set: { u: 0, o: '$$REMOVE', from: '$$NOW', balances, p } }];
  await Usage(connection).collection.updateMany(which as never, update as never, { session });
}
