import type { ClientSession, Connection } from 'mongoose';
import { Usage, type UsageRow } from '../models/usage.js';
import { type Subject, subjectKey } from '../runtime/subject.js';
import { dated } from './statements.js';

export interface Retune {
  readonly subject: Subject;
  /** Of the subject's entitlements, as they are from now on. */
  readonly version: number;
  /** The limit of a feature; null: unlimited; undefined: the plan does not have it. */
  readonly limitOf: (feature: string) => number | null | undefined;
}

/**
 * Puts new limits into the counters of a subject, in the transaction of `session` that changes what it may use: so no process that
 * has not heard of the change yet can grant above them. A period that has begun ends as it began.
 */
export async function retune(
  connection: Connection,
  session: ClientSession,
  { subject, version, limitOf }: Retune,
): Promise<void> {
  await each(connection, session, subject, ({ _id }) => {
    const lim = limitOf(_id.f) ?? (limitOf(_id.f) === null ? null : 0);
    return { filter: { _id, lv: { $lt: version } }, update: { $set: { lim, lv: version } } };
  });
}

/**
 * Lets nothing be used of a subject's counters, in the transaction of `session`: of `features`, or all. Their period begins now, so
 * that what was taken before is not given back into it; it ends as it would have.
 */
export async function resetCounters(
  connection: Connection,
  session: ClientSession,
  { subject, features }: { readonly subject: Subject; readonly features?: readonly string[] | undefined },
): Promise<void> {
  const renewed = { $map: { input: '$balances', as: 'b', in: { $mergeObjects: ['$$b', { s: 0 }] } } };
  const balances = { $cond: [{ $isArray: '$balances' }, renewed, '$$REMOVE'] };
  const slots = { $arrayToObject: dated({ $objectToArray: '$p' }) };
  const p = { $cond: [{ $eq: [{ $type: '$p' }, 'object'] }, slots, '$$REMOVE'] };
  await each(connection, session, subject, ({ _id }) => {
    if (features && !features.includes(_id.f)) return undefined;
    return { filter: { _id }, update: [{ $set: { u: 0, o: '$$REMOVE', from: '$$NOW', balances, p } }] };
  });
}

interface Change {
  readonly filter: object;
  readonly update: object | object[];
}

/** Changes the counters that a subject has: one for each feature that it ever used. */
async function each(
  connection: Connection,
  session: ClientSession,
  subject: Subject,
  changeOf: (counter: UsageRow) => Change | undefined,
): Promise<void> {
  const usage = Usage(connection);
  const counters = await usage.allOf(subjectKey(subject), session);
  const changes = counters.flatMap((counter) => changeOf(counter) ?? []);
  if (changes.length === 0) return;
  const operations = changes.map(({ filter, update }) => ({ updateOne: { filter, update } }));
  await usage.collection.bulkWrite(operations as never, { session });
}
