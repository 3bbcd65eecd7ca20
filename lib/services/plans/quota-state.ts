import { periodEnd } from '../../models/usage.js';
import type { Taken } from '../../quota/combiner.js';

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

/** What a counter says of a feature, of which a consumption has taken so much. */
export function quotaState(feature: string, amount: number, counter: Taken): QuotaState {
  const { granted, limit, used, remaining, from: startedAt, at } = counter;
  const resetsAt = periodEnd(counter);
  const secondsLeft = resetsAt && Math.max(1, Math.ceil((resetsAt.getTime() - at.getTime()) / 1000));
  const taken = granted ? amount : 0;
  return Object.freeze({ feature, taken, limit, used, remaining, startedAt, resetsAt, secondsLeft });
}

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
