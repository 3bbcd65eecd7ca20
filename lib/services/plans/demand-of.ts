import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import type { Demand } from '../../quota/group-commit.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { offersMore } from './catalogue.js';
import { entitlementMissing, entitlementsOf } from './entitlements-of.js';
import { featureOf, isAllowance } from './features.js';
import { type QuotaState, rateLimitHeaders } from './quota-state.js';

export interface Wanted {
  readonly subject: Subject;
  readonly feature: string;
  readonly amount: number;
  readonly strict?: boolean | undefined;
}

/** What a consumption asks of which counter, and the refusal when that has not enough. */
export interface DemandOf extends Demand {
  readonly exceeded: (state: QuotaState) => Promise<Error>;
}

/**
 * What the subject's plan says of a consumption.
 *
 * @throws {TypeError} when the amount is not a positive integer up to 2^53 − 1
 * @throws {TollgateError} `entitlement_missing` (403) when the plan does not have the feature, `internal` (500) when it is no
 *   allowance, `database_unavailable` (503)
 */
export async function demandOf(connection: Connection, wanted: Wanted): Promise<DemandOf> {
  const { subject, feature, amount, strict } = wanted;
  checkAmount(amount);
  const { plan, tier, limits, version } = await entitlementsOf({ subject, connection, strict });
  const allowance = plan ? featureOf(plan, feature) : undefined;
  if (allowance === undefined)
    throw await entitlementMissing(connection, { tier, missing: feature, subject });
  if (!isAllowance(allowance)) {
    throw refuse('internal', {
      detail: `The feature ${feature} is no allowance; give it { limit, per } in the plan`,
    });
  }
  const limit = limits?.[feature] ?? null; // with what is overridden for the subject
  return {
    key: { s: subjectKey(subject), f: feature },
    amount,
    terms: { limit, per: allowance.per, version },
    exceeded: async (state) =>
      exceeded(state, amount, await offersMore(connection, { tier, feature, than: limit ?? 0 })),
  };
}

/** True for what can be consumed. */
export const isAmount = (amount: unknown): amount is number =>
  Number.isSafeInteger(amount) && (amount as number) > 0;

export function checkAmount(amount: number): void {
  if (!isAmount(amount))
    throw new TypeError(`amount must be a positive integer up to 2^53 - 1, not ${amount}`);
}

function exceeded(state: QuotaState, amount: number, upgradeRequired: boolean) {
  const { feature, limit, used, remaining, resetsAt, secondsLeft } = state;
  const helps = secondsLeft !== null && amount <= (limit ?? amount); // more than a period allows is never granted
  const headers = { ...rateLimitHeaders(state), ...(helps && { 'Retry-After': String(secondsLeft) }) };
  return refuse('quota_exceeded', { feature, limit, used, remaining, resetsAt, upgradeRequired, headers });
}
