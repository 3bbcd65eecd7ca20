import { endOfTime, periodEnd, type StoredBalance } from '../../models/usage.js';
import type { CounterNow } from '../../quota/counter-now.js';

/** Units beside an allowance. */
export interface Balance {
  /** Of the grant; `rollover` and a date for what a period has left over; `spent` for several that are used up. */
  readonly id: string;
  readonly left: number;
  /** Null: never. */
  readonly expiresAt: Date | null;
}

/** Where a subject stands with an allowance. */
export interface FeatureUsage {
  readonly feature: string;
  /** Units a period; null: unlimited. */
  readonly limit: number | null;
  readonly used: number;
  /** Of the allowance and of balances; null: unlimited. */
  readonly remaining: number | null;
  /** When the period ends; null: never. */
  readonly resetsAt: Date | null;
  /** What expires soonest first. */
  readonly balances: readonly Balance[];
  /** Former periods, the last one first: two years of months. */
  readonly history: readonly { readonly startedAt: Date; readonly endedAt: Date; readonly used: number }[];
}

export function asUsage(feature: string, counter: CounterNow): FeatureUsage {
  const { lim: limit, used, own, balances = [], past = [] } = counter;
  const usable = balances.filter(({ l }) => l > 0).sort((one, other) => one.e.getTime() - other.e.getTime());
  const history = past.map(({ from: startedAt, to: endedAt, u }) => ({ startedAt, endedAt, used: u }));
  return {
    feature,
    limit,
    used,
    remaining: own === null ? null : Math.max(0, own - used),
    resetsAt: periodEnd(counter),
    balances: usable.map(asBalance),
    history: history.reverse(),
  };
}

const asBalance = ({ i: id, l: left, e }: StoredBalance): Balance => ({
  id,
  left,
  expiresAt: e < endOfTime ? e : null,
});
