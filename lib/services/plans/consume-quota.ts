import type { Connection } from 'mongoose';
import { isTollgateError, refuse } from '../../errors.js';
import { readSubject } from '../../models/read-subject.js';
import { type Claim, claimBook } from '../../quota/claim-book.js';
import { takeAhead } from '../../quota/leases.js';
import { type Charged, resultOnce } from '../../quota/take-once.js';
import { ClaimTaken, type Take, type Taken } from '../../quota/taken.js';
import { opened } from '../../runtime/connection.js';
import type { Strictness } from '../../runtime/snapshot.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { turnstile } from '../../runtime/turnstile.js';
import { claimOfCall, type Keyed } from './claim-of-call.js';
import { checkAmount, demandOf, exceeded } from './demand-of.js';
import { type QuotaState, quotaState, type Refundable, refundableAs, refundableOf } from './quota-state.js';
import { hasReturned, take } from './take.js';

export interface Consumption extends Keyed {
  readonly subject: Subject;
  readonly feature: string;
  /** Units, a positive integer up to 2^53 − 1. Default 1. */
  readonly amount?: number | undefined;
  /** Units that this process takes ahead in one write, to spend them without asking the database. Default: none. */
  readonly lease?: number | undefined;
  readonly connection?: Connection | undefined;
  /** True reads the plan from the database instead of remembering it. Default false. */
  readonly strict?: Strictness | undefined;
}

/**
 * Uses up `amount` of a subject's allowance in the current period, all of it or nothing. Exact under any concurrency: the
 * amounts granted in a period never exceed the plan's limit, and what was granted beside it.
 *
 * Units of a feature that is priced in credits are paid from those: then the state, and the extras of a refusal, are those of
 * the feature `credits`.
 *
 * With an `idempotencyKey` it is used up once, however often and by how many processes it is asked for, also when one of them dies;
 * `lease` does not matter then.
 *
 * @throws {TypeError} when the subject is none, the amount or the lease is not a positive integer up to 2^53 − 1, or the key or its time is
 *   not what it must be
 * @throws {TollgateError} `idempotency_mismatch` (422) when the key was used for another feature or amount,
 *   `idempotency_in_progress` (409) while the first call with it is under way, or for 10 s when its process has died in the midst of it;
 *   `quota_exceeded` (429, extras `feature`, `limit`, `used`, `remaining`, `resetsAt`, `upgradeRequired`), `entitlement_missing` (403),
 *   `validation_failed` (400) when the amount costs more than 2^53 − 1 credits, `overloaded` (503; it was not counted), `database_unavailable` (503)
 * @example const { remaining } = await consumeQuota({ subject: { type: 'user', id }, feature: 'images' });
 */
export async function consumeQuota(wanted: Consumption): Promise<QuotaState> {
  const { subject, feature, amount = 1, lease, strict } = wanted;
  const connection = opened(wanted.connection);
  if (lease !== undefined) checkAmount(lease, 'lease');
  const asked = { subject, feature, amount, strict };
  const own = claimOfCall(connection, asked, wanted);
  const known = demandOf(connection, asked);
  const demand = known instanceof Promise ? await known : known;
  const met = own
    ? await takenOnce(connection, demand, own)
    : { taken: await takeOf(connection, demand, lease), demand, claim: undefined };
  const { taken, demand: charged, claim } = met;
  const state = quotaState(charged.key.f, charged.amount, taken);
  if (!taken.granted) throw await exceeded(connection, demand, state);
  return refundableAs(state, charged, claim);
}

async function takenOnce(connection: Connection, demand: Take, claim: Claim): Promise<Charged> {
  const met = await resultOnce(connection, demand, claim);
  if (met.taken.granted || !(await hasReturned(connection, demand))) return met;
  return resultOnce(connection, demand, claim);
}

/** Takes of a counter by itself, or of what this process has taken ahead. */
function takeOf(connection: Connection, demand: Take, lease: number | undefined): Promise<Taken> {
  if (lease === undefined) return take(connection, demand);
  return take(connection, demand, (request) => takeAhead(connection, request, lease));
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
 * over. What was given back is not given back again. When nothing is left to give back, the idempotency key is free again; of several calls that
 * were answered for one key, only that gives back which does so first.
 *
 * @throws {TypeError} when `state` is not what `consumeQuota` answered in this process, or `amount` is no positive integer
 * @throws {TollgateError} `overloaded` (503): nothing was given back, and it can be called again; `database_unavailable` (503): that is not
 *   known, and what was perhaps given back is not given back again
 * @example await refundQuota({ subject, state });
 */
export async function refundQuota({ subject, state, amount = state.taken, ...rest }: Refund): Promise<void> {
  checkAmount(amount);
  const connection = opened(rest.connection);
  const own = refundableOf(state);
  if (own?.taken.key.s !== subjectKey(readSubject(connection, subject)))
    throw new TypeError('state must be what consumeQuota() answered for this subject, the very object');
  const { startedAt: from } = state;
  const work = () => giveSome(connection, own, amount, from);
  await (own.claim ? turnstile(connection).inTurn([`refund ${own.claim.run}`], work) : work()); // a key says how much: one after the other
}

/** Gives back as much as is left of `amount`. */
async function giveSome(connection: Connection, own: Refundable, amount: number, from: Date): Promise<void> {
  const given = Math.min(amount, own.left);
  if (given === 0) return;
  own.left -= given;
  const { key, terms } = own.taken;
  try {
    await giveBack(connection, own, { key, terms, amount: -given, from });
  } catch (error) {
    if (isTollgateError(error, 'overloaded')) own.left += given; // nothing was sent
    throw error;
  }
}

/** Gives back what is not left of a consumption any more; with all of it its idempotency key. */
async function giveBack(connection: Connection, { left, claim }: Refundable, back: Take): Promise<void> {
  if (!claim) return void (await take(connection, back));
  if (left === 0) {
    return void (await take(connection, { ...back, claim }).catch((error) => {
      if (!(error instanceof ClaimTaken)) throw error; // another has given it back, or goes on with it
    }));
  }
  const book = claimBook(connection);
  if (!(await book.give(claim, -back.amount))) return;
  await take(connection, back).catch(async (error) => {
    if (!isTollgateError(error, 'overloaded')) throw error;
    const isUndone = await book.give(claim, back.amount).catch(() => false);
    throw isUndone ? error : refuse('database_unavailable', { cause: error });
  });
}
