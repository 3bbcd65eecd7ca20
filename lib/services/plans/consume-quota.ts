import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Usage } from '../../models/usage.js';
import { take } from '../../quota/combiner.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { Strictness } from '../../runtime/snapshot.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { offersMore } from './catalogue.js';
import { entitlementMissing, entitlementsOf } from './entitlements-of.js';
import { featureOf, isAllowance, limitOf } from './features.js';
import { type QuotaState, quotaState, rateLimitHeaders } from './quota-state.js';

export interface Consumption {
  readonly subject: Subject;
  readonly feature: string;
  /** Units, a positive integer up to 2^53 − 1. Default 1. */
  readonly amount?: number | undefined;
  readonly connection?: Connection | undefined;
  /** True reads the plan from the database instead of remembering it. Default false. */
  readonly strict?: Strictness | undefined;
}

/**
 * Uses up `amount` of a subject's allowance in the current period, all of it or nothing. Exact under any concurrency: the
 * amounts granted in a period never exceed the plan's limit.
 *
 * @throws {TypeError} when the amount is not a positive integer up to 2^53 − 1
 * @throws {TollgateError} `quota_exceeded` (429, extras `feature`, `limit`, `used`, `remaining`, `resetsAt`,
 *   `upgradeRequired`), `entitlement_missing` (403), `database_unavailable` (503)
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
  const { plan, tier } = await entitlementsOf({ subject, connection, strict: rest.strict });
  const allowance = plan ? featureOf(plan, feature) : undefined;
  if (allowance === undefined) throw await entitlementMissing(connection, { tier, missing: feature });
  if (!isAllowance(allowance)) {
    throw refuse('internal', {
      detail: `The feature ${feature} is no allowance; give it { limit, per } in the plan`,
    });
  }
  const limit = limitOf(allowance);
  const key = { s: subjectKey(subject), f: feature };
  const { granted, counter } = await take(connection, { key, amount, limit, per: allowance.per });
  const state = quotaState(feature, granted ? amount : 0, limit, counter);
  if (!granted)
    throw exceeded(state, amount, await offersMore(connection, { tier, feature, than: limit ?? 0 }));
  refundable.set(state, amount);
  return state;
}

/** What may still be given back of each consumption of this process. */
const refundable = new WeakMap<QuotaState, number>();

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
  const left = refundable.get(state);
  if (left === undefined) throw new TypeError('state must be what consumeQuota() answered, the very object');
  const given = Math.min(amount, left);
  if (given === 0) return;
  refundable.set(state, left - given);
  const key = { s: subjectKey(subject), f: state.feature };
  await database(() => Usage(connection).giveBack(key, given, state.startedAt));
}

export interface Refund {
  readonly subject: Subject;
  /** What the consumption answered. */
  readonly state: QuotaState;
  /** Default: all that was taken. */
  readonly amount?: number | undefined;
  readonly connection?: Connection | undefined;
}

/** True for what can be consumed. */
export const isAmount = (amount: unknown): amount is number =>
  Number.isSafeInteger(amount) && (amount as number) > 0;

function checkAmount(amount: number): void {
  if (!isAmount(amount))
    throw new TypeError(`amount must be a positive integer up to 2^53 - 1, not ${amount}`);
}

function exceeded(state: QuotaState, amount: number, upgradeRequired: boolean) {
  const { feature, limit, used, remaining, resetsAt, secondsLeft } = state;
  const helps = secondsLeft !== null && amount <= (limit ?? amount); // more than a period allows is never granted
  const headers = { ...rateLimitHeaders(state), ...(helps && { 'Retry-After': String(secondsLeft) }) };
  return refuse('quota_exceeded', { feature, limit, used, remaining, resetsAt, upgradeRequired, headers });
}
