import type { ClientSession, Connection, UpdateQuery } from 'mongoose';
import { Subscriptions } from '../../models/subscription.js';
import { retune } from '../../quota/counters.js';
import type { Subject } from '../../runtime/subject.js';
import { readCatalogue } from './catalogue.js';
import { type Entitlements, granted } from './granted.js';
import { counterOf, meteredCodes } from './metering.js';

export interface SubscriptionChange {
  readonly update: UpdateQuery<object>;
  /** What must hold of the subscription, where there must be one. */
  readonly only?: object | undefined;
}

/**
 * Changes a subject's subscription within the transaction of `session`, and puts the limits that follow from it into its counters, of
 * all that was counted before or is from now on: no process that has not heard of it yet can grant above them.
 *
 * @returns what the subject may use from now on; null when `only` held of no subscription, and nothing was changed
 */
export async function changeSubscription(
  connection: Connection,
  session: ClientSession,
  subject: Subject,
  { update, only }: SubscriptionChange,
): Promise<Entitlements | null> {
  const subscriptions = Subscriptions(connection);
  const plans = await readCatalogue(connection, session);
  const now = async () => {
    const [subscription] = await subscriptions.now(subject.type, [subject.id], session);
    return granted(plans, subscription);
  };
  const before = await now();
  const upsert = only === undefined;
  const { matchedCount, upsertedCount } = await subscriptions.change(subject, update, session, {
    only,
    upsert,
  });
  if (matchedCount + upsertedCount === 0) return null;
  const entitlements = await now();
  const codes = new Set([...meteredCodes(before), ...meteredCodes(entitlements)]);
  const terms = new Map([...codes].map((code) => [code, counterOf(subject, code, entitlements)?.terms]));
  await retune(connection, session, { subject, version: entitlements.version, terms });
  return entitlements;
}
