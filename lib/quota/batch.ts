import type { Period, UsageKey } from '../models/usage.js';

/** What a subject may use of a feature, as one version of its entitlements says. */
export interface Terms {
  /** Units a period; null: unlimited. */
  readonly limit: number | null;
  readonly per: Period;
  /** Grows with every change of what the subject may use: the newest one decides. */
  readonly version: number;
  /** Where months of the period `billing` begin. */
  readonly anchor?: Date | undefined;
  /** Units that may be used beyond the limit, once nothing else is left; null: any number. Default 0. */
  readonly overage?: number | null | undefined;
  /** What becomes of units that a period leaves over: `cap` of them stay for `periods` more. */
  readonly rollover?: { readonly cap: number; readonly periods: number } | undefined;
}

/** Those that decide where several meet. */
export const newest = (terms: readonly Terms[]): Terms =>
  terms.reduce((best, each) => (each.version > best.version ? each : best));

/** An amount to count, whole or not at all; a negative one gives back what was taken in the period that began at `from`. */
export interface Part {
  readonly amount: number;
  readonly from?: Date | undefined;
}

/** Parts that are counted in their order, in one write. */
export interface Batch {
  readonly key: UsageKey;
  readonly terms: Terms;
  readonly parts: readonly Part[];
  /** The process and lane that sends it, and the number that it has there: it takes effect once. */
  readonly slot: string;
  readonly sequence: number;
  /** The first of this process for the counter: it also tidies that. */
  readonly isFirst: boolean;
  /** By the database's clock: after it the batch takes no effect any more. */
  readonly deadline: Date;
}

/** What a batch met. The grants follow from it by `fold`. */
export interface Outcome {
  readonly granted: 'all' | 'some' | 'none';
  /** Units used before the batch, of the allowance, of balances and beyond them. */
  readonly used: number;
  /** Units that could be used in all; null: no limit. */
  readonly capacity: number | null;
  /** The same without what may be used beyond the limit. */
  readonly own: number | null;
  /** The limit that decided. */
  readonly limit: number | null;
  readonly from: Date;
  readonly to: Date;
}

/** Whether a part counts, and what is used after it. */
export interface Fate {
  readonly counts: boolean;
  readonly used: number;
}

/** The fold of the database, once more. */
export function fold(parts: readonly Part[], { granted, used, capacity, from }: Outcome): Fate[] {
  let sum = used;
  return parts.map((part) => {
    const { amount } = part;
    const fits =
      amount < 0 ? part.from?.getTime() === from.getTime() : capacity === null || sum + amount <= capacity;
    const counts = granted === 'all' || (granted === 'some' && fits);
    if (counts) sum = Math.max(0, sum + amount);
    return { counts, used: sum };
  });
}
