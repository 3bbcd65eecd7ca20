import { periodEnd } from '../../models/usage.js';
import type { Claim } from '../../quota/claim-book.js';
import type { Demand } from '../../quota/group-commit.js';
import type { Taken } from '../../quota/taken.js';

/** Where a subject stands in a feature's current period. */
export interface QuotaState {
  readonly feature: string;
  /** Units that this consumption took; none when it was refused. */
  readonly taken: number;
  /** Units a period; null: unlimited. */
  readonly limit: number | null;
  readonly used: number;
  /** Units that are left, of the period's allowance and of balances; null: unlimited. */
  readonly remaining: number | null;
  /** When the period began. */
  readonly startedAt: Date;
  /** When the period ends; null: never. */
  readonly resetsAt: Date | null;
  /** Seconds until then, by the database's clock; null: never. */
  readonly secondsLeft: number | null;
}

/** What may still be given back of a consumption. */
export interface Refundable {
  left: number;
  readonly taken: Demand;
  readonly claim: Claim | undefined;
}

/** A state that knows, out of everybody's sight, what may be given back of it: a private field costs less than a WeakMap. */
class State implements QuotaState {
  readonly feature: string;
  readonly taken: number;
  readonly limit: number | null;
  readonly used: number;
  readonly remaining: number | null;
  readonly startedAt: Date;
  readonly resetsAt: Date | null;
  readonly secondsLeft: number | null;
  #refundable: Refundable | undefined;

  constructor(feature: string, amount: number, counter: Taken) {
    const { granted, limit, used, remaining, from, at } = counter;
    const resetsAt = periodEnd(counter);
    this.feature = feature;
    this.taken = granted ? amount : 0;
    this.limit = limit;
    this.used = used;
    this.remaining = remaining;
    this.startedAt = from;
    this.resetsAt = resetsAt;
    this.secondsLeft = resetsAt && Math.max(1, Math.ceil((resetsAt.getTime() - at.getTime()) / 1000));
    Object.freeze(this);
  }

  static note(state: QuotaState, refundable: Refundable): void {
    if (#refundable in state) state.#refundable = refundable;
  }

  static refundable(state: QuotaState): Refundable | undefined {
    return #refundable in state ? state.#refundable : undefined;
  }
}

/** What a counter says of a feature, of which a consumption has taken so much. */
export const quotaState = (feature: string, amount: number, counter: Taken): QuotaState =>
  new State(feature, amount, counter);

/** Notes what `refundQuota` can give back. */
export function refundableAs(state: QuotaState, taken: Demand, claim?: Claim): QuotaState {
  State.note(state, { left: taken.amount - (claim?.given ?? 0), taken, claim });
  return state;
}

/** Undefined for what is no consumption of this process. */
export const refundableOf = (state: QuotaState): Refundable | undefined => State.refundable(state);

/** `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers); none where there is no limit. */
export function rateLimitHeaders(state: QuotaState): Record<string, string> {
  const { feature, limit, remaining, startedAt, resetsAt, secondsLeft } = state;
  if (limit === null) return {};
  const window = resetsAt ? `;w=${Math.round((resetsAt.getTime() - startedAt.getTime()) / 1000)}` : '';
  const reset = secondsLeft === null ? '' : `;t=${secondsLeft}`;
  return {
    'RateLimit-Policy': `"${feature}";q=${limit}${window}`,
    RateLimit: `"${feature}";r=${remaining}${reset}`,
  };
}
