import type { Connection } from 'mongoose';
import type { Terms } from '../../quota/batch.js';
import { take } from '../../quota/combiner.js';
import { opened } from '../../runtime/connection.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { checkAmount } from './amount.js';
import { exceeded } from './exceeded.js';
import { costOf, meteringOf } from './metering.js';
import { type QuotaState, quotaState } from './quota-state.js';
import { takeUnits } from './take-units.js';

export interface Consumption {
  readonly subject: Subject;
  readonly feature: string;
  /** Units, a positive integer up to 2^53 − 1. Default 1. */
  readonly amount?: number | undefined;
  readonly connection?: Connection | undefined;
  /** True reads the plan from the database instead of remembering it. Default false. */
  readonly strict?: boolean | undefined;
}

/**
 * Uses up `amount` of a subject's allowance in the current period, all of it or nothing. Exact under any concurrency: the
 * amounts granted in a period never exceed the plan's limit, and what was granted beside it.
 *
 * Units of a feature that is priced in credits are paid from those: then the state, and the extras of a refusal, are those of
 * the feature `credits`.
 *
 * @throws {TypeError} when the amount is not a positive integer up to 2^53 − 1
 * @throws {TollgateError} `quota_exceeded` (429, extras `feature`, `limit`, `used`, `remaining`, `resetsAt`,
 *   `upgradeRequired`), `entitlement_missing` (403), `validation_failed` (400) when the amount costs more than 2^53 − 1 credits,
 *   `database_unavailable` (503)
 * @example const { remaining } = await consumeQuota({ subject: { type: 'user', id }, feature: 'images' });
 */
export async function consumeQuota({
  subject,
  feature,
  amount = 1,
  ...rest
}: Consumption): Promise<QuotaState> {
  checkAmount(amount);
  const connection = opened(rest.connection);
  const metering = await meteringOf(connection, { subject, feature, strict: rest.strict });
  const { key, terms, tier } = metering;
  const cost = costOf(amount, metering);
  const taken = await takeUnits(connection, { key, amount: cost, terms });
  const state = quotaState(key.f, cost, taken);
  if (!taken.granted) throw await exceeded(connection, state, cost, tier);
  refundable.set(state, { left: cost, terms });
  return state;
}

/** What may still be given back of each consumption of this process. */
const refundable = new WeakMap<QuotaState, { left: number; readonly terms: Terms }>();

/**
 * Gives back what a consumption took, or `amount` units of it, to the period that they were taken from; nothing when that is
 * over. What was given back is not given back again.
 *
 * @throws {TypeError} when `state` is not what `consumeQuota` answered in this process, or `amount` is no positive integer
 * @throws {TollgateError} `database_unavailable` (503)
 * @example await refundQuota({ subject, state });
 */
export async function refundQuota({ subject, state, amount = state.taken, ...rest }: Refund): Promise<void> {
  checkAmount(amount);
  const connection = opened(rest.connection);
  const own = refundable.get(state);
  if (own === undefined) throw new TypeError('state must be what consumeQuota() answered, the very object');
  const given = Math.min(amount, own.left);
  if (given === 0) return;
  own.left -= given;
  const key = { s: subjectKey(subject), f: state.feature };
  await take(connection, { key, amount: -given, terms: own.terms, from: state.startedAt });
}

export interface Refund {
  readonly subject: Subject;
  /** What the consumption answered. */
  readonly state: QuotaState;
  /** Default: all that was taken. */
  readonly amount?: number | undefined;
  readonly connection?: Connection | undefined;
}
