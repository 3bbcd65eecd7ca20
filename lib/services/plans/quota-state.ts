import { periodEnd, type StoredUsage } from '../../models/usage.js';

/** Where a subject stands in a feature's current period. */
export interface QuotaState {
  readonly feature: string;
  /** Units that this consumption took; none when it was refused. */
  readonly taken: number;
  /** Units a period; null: unlimited. */
  readonly limit: number | null;
  readonly used: number;
  /** Null: unlimited. */
  readonly remaining: number | null;
  /** When the period began. */
  readonly startedAt: Date;
  /** When the period ends; null: never. */
  readonly resetsAt: Date | null;
  /** Seconds until then, by the database's clock; null: never. */
  readonly secondsLeft: number | null;
}

/** What a counter says of an allowance of `limit` units a period. */
export function quotaState(
  feature: string,
  taken: number,
  limit: number | null,
  counter: Pick<StoredUsage, 'u' | 'from' | 'to' | 't'>,
): QuotaState {
  const { u: used, from: startedAt, t } = counter;
  const resetsAt = periodEnd(counter);
  const remaining = limit === null ? null : Math.max(0, limit - used);
  const secondsLeft = resetsAt && Math.max(1, Math.ceil((resetsAt.getTime() - t.getTime()) / 1000));
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
