import type { ClientSession, Connection, UpdateQuery } from 'mongoose';
import { Subscriptions } from '../../models/subscription.js';
import { retune } from '../../quota/counters.js';
import type { Subject } from '../../runtime/subject.js';
import { entitlementsIn } from './entitlements-of.js';
import type { Entitlements } from './granted.js';

export interface SubscriptionChange {
  readonly update: UpdateQuery<object>;
  /** What must hold of the subscription, where there must be one. */
  readonly only?: object | undefined;
}

/**
 * Changes a subject's subscription within the transaction of `session`, and puts the limits that follow from it into its counters:
 * no process that has not heard of it yet can grant above them.
 *
 * @returns what the subject may use from now on; null when `only` held of no subscription, and nothing was changed
 */
export async function changeSubscription(
  connection: Connection,
  session: ClientSession,
  subject: Subject,
  { update, only }: SubscriptionChange,
): Promise<Entitlements | null> {
  const upsert = only === undefined;
  const { matchedCount, upsertedCount } = await Subscriptions(connection).change(subject, update, session, {
    only,
    upsert,
  });
  if (matchedCount + upsertedCount === 0) return null;
  const entitlements = await entitlementsIn(connection, session, subject);
  const { version, limits } = entitlements;
  await retune(connection, session, { subject, version, limitOf: (feature) => limits?.[feature] });
  return entitlements;
}
