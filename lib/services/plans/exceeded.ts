import type { Connection } from 'mongoose';
import { refuse, type TollgateError } from '../../errors.js';
import { offersMore } from './catalogue.js';
import { type QuotaState, rateLimitHeaders } from './quota-state.js';

/** The refusal of `amount` units of a counter in this state. */
export async function exceeded(
  connection: Connection,
  state: QuotaState,
  amount: number,
  tier: number | null,
): Promise<TollgateError> {
  const { feature, limit, used, remaining, resetsAt, secondsLeft } = state;
  const upgradeRequired = await offersMore(connection, { tier, feature, than: limit ?? 0 });
  const helps = secondsLeft !== null && amount <= (limit ?? amount); // more than a period allows is never granted
  const headers = { ...rateLimitHeaders(state), ...(helps && { 'Retry-After': String(secondsLeft) }) };
  return refuse('quota_exceeded', { feature, limit, used, remaining, resetsAt, upgradeRequired, headers });
}
