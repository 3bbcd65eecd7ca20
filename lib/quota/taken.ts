import type { UsageKey } from '../models/usage.js';
import type { Fate, Outcome, Part, Terms } from './batch.js';
import type { Claim } from './claim-book.js';

/** What a request wants of a counter. */
export interface Take extends Part {
  readonly key: UsageKey;
  readonly terms: Terms;
  /** The idempotency key of the request: who comes second with it is not counted. */
  readonly claim?: Claim | undefined;
  /** The units are not used yet, but taken ahead: whoever spends them tells of thresholds. */
  readonly isAhead?: boolean | undefined;
}

/** Somebody else has the idempotency key: nothing was counted. */
export class ClaimTaken extends Error {
  override name = 'ClaimTaken';
}

/** The counter as the request left it. */
export interface Taken extends Pick<Outcome, 'used' | 'limit' | 'from' | 'to'> {
  readonly granted: boolean;
  /** Without what may be used beyond the limit; null: no limit. */
  readonly remaining: number | null;
  /** By the database's clock. */
  readonly at: Date;
}

/** What a part of a batch met. */
export function takenOf(outcome: Outcome, { counts, used }: Fate, at: Date): Taken {
  const { limit, from, to, own } = outcome;
  const remaining = own === null ? null : Math.max(0, own - used);
  return { granted: counts, used, limit, remaining, from, to, at };
}
