import type { Connection } from 'mongoose';
import { type CounterNow, counterNow } from '../../quota/counter-now.js';
import type { Demand } from '../../quota/group-commit.js';
import { opened } from '../../runtime/connection.js';
import type { Consumption } from '../plans/consume-quota.js';
import { demandOf } from '../plans/demand-of.js';
import { type QuotaState, quotaState } from '../plans/quota-state.js';
import { returnExpiredOf } from '../reservations/return-expired.js';

/** Where a subject stands. `taken` is 0. */
export interface QuotaCheck extends QuotaState {
  /** True when `consumeQuota` would have granted it just now; somebody else may come first. */
  readonly granted: boolean;
}

/**
 * Whether `amount` units would be granted to a subject now. It counts nothing, and promises nothing: to be sure of units, take or
 * reserve them.
 *
 * @throws {TypeError} when the subject is none, or the amount is not a positive integer up to 2^53 − 1
 * @throws {TollgateError} `entitlement_missing` (403), `database_unavailable` (503)
 * @example const { granted, remaining } = await checkQuota({ subject, feature: 'images', amount: 4 });
 */
export async function checkQuota({ amount = 1, ...rest }: Consumption): Promise<QuotaCheck> {
  const connection = opened(rest.connection);
  const demand = await demandOf(connection, { ...rest, amount });
  const counter = await settledCounter(connection, demand);
  const { own, used, lim: limit } = counter;
  const remaining = own === null ? null : Math.max(0, own - used);
  const state = quotaState(demand.key.f, 0, { ...counter, limit, remaining, granted: true });
  return Object.freeze({ ...state, granted: fits(counter, demand) });
}

/** Where there is not enough, what expired reservations hold goes back first, as it would for a consumption. */
async function settledCounter(connection: Connection, demand: Demand): Promise<CounterNow> {
  const counter = await counterNow(connection, demand);
  if (fits(counter, demand) || (await returnExpiredOf(connection, demand.key)) === 0) return counter;
  return counterNow(connection, demand);
}

const fits = ({ used, capacity }: CounterNow, { amount }: Demand): boolean =>
  capacity === null || used + amount <= capacity;
