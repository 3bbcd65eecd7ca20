import type { Connection } from 'mongoose';
import { isTollgateError } from '../../errors.js';
import type { StoredAnswer } from '../../models/claim.js';
import type { Claim } from '../../quota/claim-book.js';
import { answerOnce, takeOnce } from '../../quota/take-once.js';
import { type DemandOf, demandOf, exceeded, type Wanted } from './demand-of.js';
import { type QuotaState, quotaState, refundableAs } from './quota-state.js';
import { hasReturned } from './take.js';

/** What a request with an idempotency key goes on with, or the answer that was given to the first one. */
export type MetOnce =
  | { readonly state: QuotaState; readonly claim: Claim }
  | { readonly answer: StoredAnswer };

/**
 * Uses up units of an allowance once for an idempotency key: by this request, or by one before it with the key that has failed, or
 * whose process died.
 *
 * @throws {TollgateError} as `consumeQuota` with a key
 */
export async function consumeOnce(connection: Connection, wanted: Wanted, claim: Claim): Promise<MetOnce> {
  const demand = await demanded(connection, wanted, claim);
  if ('answer' in demand) return demand;
  let met = await takeOnce(connection, demand, claim);
  if ('answer' in met) return met;
  if (!met.taken.granted && (await hasReturned(connection, demand)))
    met = await takeOnce(connection, demand, claim);
  if ('answer' in met) return met;
  const { taken, demand: charged, claim: own } = met;
  const state = quotaState(charged.key.f, charged.amount, taken);
  if (!taken.granted) throw await exceeded(connection, demand, state);
  return { state: refundableAs(state, charged, own), claim: own };
}

/** What is asked for; where the plan does not have it any more, the answer that was given when it did. */
async function demanded(
  connection: Connection,
  wanted: Wanted,
  claim: Claim,
): Promise<DemandOf | { readonly answer: StoredAnswer }> {
  try {
    return await demandOf(connection, wanted);
  } catch (error) {
    const answer = isTollgateError(error, 'entitlement_missing') && (await answerOnce(connection, claim));
    if (answer) return { answer };
    throw error;
  }
}
