import { createHash } from 'node:crypto';
import type { Connection } from 'mongoose';
import { type Claim, claimBook } from '../../quota/claim-book.js';
import { ClaimTaken, type Take, take } from '../../quota/combiner.js';
import { resultOnce } from '../../quota/take-once.js';
import { opened } from '../../runtime/connection.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { checkAmount, demandOf } from './demand-of.js';
import { type QuotaState, quotaState } from './quota-state.js';

export interface Consumption {
  readonly subject: Subject;
  readonly feature: string;
  /** Units, a positive integer up to 2^53 − 1. Default 1. */
  readonly amount?: number | undefined;
  readonly connection?: Connection | undefined;
  /** True reads the plan from the database instead of remembering it. Default false. */
  readonly strict?: boolean | undefined;
  /** Up to 255 printable ASCII characters: who comes again with it gets the same result, and nothing more is used up. */
  readonly idempotencyKey?: string | undefined;
  /** Whose the key is: others may have the same one. Default: the subject. */
  readonly owner?: string | undefined;
  /** Seconds for which the key is remembered. Default 60. */
  readonly quotaIdempotencyTtl?: number | undefined;
}

/**
 * Uses up `amount` of a subject's allowance in the current period, all of it or nothing. Exact under any concurrency: the
 * amounts granted in a period never exceed the plan's limit.
 *
 * With an `idempotencyKey` it is used up once, however often and by how many processes it is asked for, also when one of them dies.
 *
 * @throws {TypeError} when the amount is not a positive integer up to 2^53 − 1, or the key is no such text
 * @throws {TollgateError} `idempotency_mismatch` (422) when the key was used for another feature or amount,
 *   `idempotency_in_progress` (409) while the first call with it is under way or its process has died within 10 s, `quota_exceeded` (429, extras `feature`, `limit`, `used`, `remaining`, `resetsAt`,
 *   `upgradeRequired`), `entitlement_missing` (403), `overloaded` (503; it was not counted), `database_unavailable` (503)
 * @example const { remaining } = await consumeQuota({ subject: { type: 'user', id }, feature: 'images' });
 */
export async function consumeQuota({ amount = 1, ...rest }: Consumption): Promise<QuotaState> {
  const connection = opened(rest.connection);
  const claim = claimOf(connection, { ...rest, amount });
  const { exceeded, ...demand } = await demandOf(connection, { ...rest, amount });
  const met = claim
    ? await resultOnce(connection, demand, claim)
    : { taken: await take(connection, demand), claim };
  const state = quotaState(rest.feature, amount, met.taken);
  if (!met.taken.granted) throw await exceeded(state);
  return refundableAs(state, { ...demand, claim: met.claim });
}

const keyPattern = /^[\x20-\x7e]{1,255}$/;

/** True for what can be an idempotency key. */
export const isIdempotencyKey = (key: unknown): key is string =>
  typeof key === 'string' && keyPattern.test(key);

function claimOf(
  connection: Connection,
  { subject, feature, amount, idempotencyKey: k, owner, quotaIdempotencyTtl = 60 }: Consumption,
): Claim | undefined {
  if (k === undefined) return undefined;
  if (!isIdempotencyKey(k)) throw new TypeError('idempotencyKey must have 1 to 255 printable characters');
  const s = subjectKey(subject);
  const key = { o: owner ?? s, c: 'service', s, m: '', r: 'consumeQuota', f: '', k };
  const hash = createHash('sha256').update(`${feature} ${amount}`).digest('base64');
  return claimBook(connection).claim(key, hash, quotaIdempotencyTtl * 1_000);
}

/** What may still be given back of each consumption of this process. */
const refundable = new WeakMap<QuotaState, { left: number; readonly taken: Take }>();

/** Notes what `refundQuota` can give back. */
export function refundableAs(state: QuotaState, taken: Take): QuotaState {
  refundable.set(state, { left: taken.amount - (taken.claim?.given ?? 0), taken });
  return state;
}

export interface Refund {
  readonly subject: Subject;
  /** What the consumption answered. */
  readonly state: QuotaState;
  /** Default: all that was taken. */
  readonly amount?: number | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Gives back what a consumption took, or `amount` units of it, to the period that they were taken from; nothing when that is
 * over. What was given back is not given back again. When nothing is left to give back, the idempotency key is free again.
 *
 * @throws {TypeError} when `state` is not what `consumeQuota` answered in this process, or `amount` is no positive integer
 * @throws {TollgateError} `database_unavailable` (503)
 * @example await refundQuota({ subject, state });
 */
export async function refundQuota({ subject, state, amount = state.taken, ...rest }: Refund): Promise<void> {
  checkAmount(amount);
  const connection = opened(rest.connection);
  const own = refundable.get(state);
  if (own?.taken.key.s !== subjectKey(subject))
    throw new TypeError('state must be what consumeQuota() answered for this subject, the very object');
  const given = Math.min(amount, own.left);
  if (given === 0) return;
  own.left -= given;
  const { claim, ...taken } = own.taken;
  const back = { ...taken, amount: -given, from: state.startedAt };
  if (!claim || own.left > 0) {
    const isOurs = !claim || (await claimBook(connection).give(claim, given));
    if (isOurs) await take(connection, back);
    return;
  }
  await take(connection, { ...back, claim }).catch((error) => {
    if (!(error instanceof ClaimTaken)) throw error; // another has given it back, or goes on with it
  });
}
