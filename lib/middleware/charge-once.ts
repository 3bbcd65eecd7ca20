import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import type { StoredAnswer } from '../models/claim.js';
import type { Claim } from '../quota/claim-book.js';
import type { Strictness } from '../runtime/snapshot.js';
import type { Subject } from '../runtime/subject.js';
import { consumeOnce } from '../services/plans/consume-once.js';
import { refundQuota } from '../services/plans/consume-quota.js';
import type { QuotaState } from '../services/plans/quota-state.js';
import { claimFor } from './idempotency-key.js';
import { outermostOf } from './under-claims.js';

export interface Charge {
  readonly key: string;
  /** Seconds for which the key is remembered. */
  readonly window: number;
  readonly subject: Subject;
  readonly amounts: Readonly<Record<string, number>>;
  readonly strict: Strictness;
}

/** What was charged for the key, by this request or one before it, with the claims that it hangs on; or the answer that was kept. */
export type Charged =
  | { readonly quota: Readonly<Record<string, QuotaState>>; readonly claims: readonly Claim[] }
  | { readonly answer: StoredAnswer };

/** Charges each feature once for an idempotency key, one after the other; when one is refused, those before it are given back. */
export async function chargeOnce(
  ctx: ParameterizedContext,
  connection: Connection,
  { key, window, subject, amounts, strict }: Charge,
): Promise<Charged> {
  const quota: Record<string, QuotaState> = {};
  const claims: Claim[] = [];
  try {
    for (const [feature, amount] of Object.entries(amounts)) {
      const within = outermostOf(ctx) ?? claims[0];
      const claim = await claimFor(ctx, connection, key, { subject, feature, window, within });
      const met = await consumeOnce(connection, { subject, feature, amount, strict }, claim);
      if ('answer' in met) return met;
      quota[feature] = met.state;
      claims.push(met.claim);
    }
  } catch (error) {
    const refunds = Object.values(quota).map((state) => refundQuota({ subject, state, connection }));
    await Promise.allSettled(refunds); // what is not given back stays with the key
    throw error;
  }
  return { quota, claims };
}
