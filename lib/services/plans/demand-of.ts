import type { Connection } from 'mongoose';
import { refuseWithoutStack } from '../../errors.js';
import { readSubject } from '../../models/read-subject.js';
import type { Demand } from '../../quota/group-commit.js';
import { noteDenial } from '../../quota/note-denial.js';
import { after } from '../../runtime/after.js';
import type { Strictness } from '../../runtime/snapshot.js';
import type { Subject } from '../../runtime/subject.js';
import { offersMore } from './catalogue.js';
import { costOf, meteringOf } from './metering.js';
import { type QuotaState, rateLimitHeaders } from './quota-state.js';

export interface Wanted {
  readonly subject: Subject;
  readonly feature: string;
  readonly amount: number;
  readonly strict?: Strictness | undefined;
}

/** What a consumption asks of which counter. */
export interface DemandOf extends Demand {
  /** What was asked for; the counter may be that of `credits`. */
  readonly feature: string;
  readonly tier: number | null;
}

/**
 * What the subject's plan says of a consumption, at once where that is remembered.
 *
 * @throws {TypeError} when the subject is none, or the amount is not a positive integer up to 2^53 − 1
 * @throws {TollgateError} `entitlement_missing` (403) when the plan does not have the feature, `internal` (500) when it is no
 *   allowance, `validation_failed` (400) when the amount costs more than 2^53 − 1 credits, `database_unavailable` (503)
 */
export function demandOf(connection: Connection, wanted: Wanted): DemandOf | Promise<DemandOf> {
  const { feature, amount, strict } = wanted;
  const subject = readSubject(connection, wanted.subject);
  checkAmount(amount);
  return after(meteringOf(connection, { subject, feature, strict }), (metering) => {
    const { key, terms, tier } = metering;
    return { feature, key, amount: costOf(amount, metering), terms, tier };
  });
}

/** The refusal of a demand whose counter has not enough. */
export async function exceeded(
  connection: Connection,
  { key, amount, terms, tier }: DemandOf,
  state: QuotaState,
): Promise<Error> {
  noteDenial(connection, key, { ...state, amount });
  const offer = { tier, feature: key.f, than: terms.limit ?? 0 };
  return refusal(state, amount, await offersMore(connection, offer));
}

/** True for what can be consumed. */
export const isAmount = (amount: unknown): amount is number =>
  Number.isSafeInteger(amount) && (amount as number) > 0;

export function checkAmount(amount: number, name = 'amount'): void {
  if (!isAmount(amount))
    throw new TypeError(`${name} must be a positive integer up to 2^53 - 1, not ${amount}`);
}

function refusal(state: QuotaState, amount: number, upgradeRequired: boolean) {
  const { feature, limit, used, remaining, resetsAt, secondsLeft } = state;
  const helps = secondsLeft !== null && amount <= (limit ?? amount); // more than a period allows is never granted
  const headers = { ...rateLimitHeaders(state), ...(helps && { 'Retry-After': String(secondsLeft) }) };
  return refuseWithoutStack('quota_exceeded', {
    feature,
    limit,
    used,
    remaining,
    resetsAt,
    upgradeRequired,
    headers,
  });
}
