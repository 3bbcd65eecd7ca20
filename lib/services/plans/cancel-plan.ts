import { Subscriptions } from '../../models/subscription.js';
import type { SharedOptions } from '../../runtime/options.js';
import { changeSubscription } from './change-subscription.js';
import { operate, readOperation, type SubjectOperation } from './operate.js';

export type CancelPlan<Context = unknown> = SubjectOperation<Context>;

/** What a subscription is without a plan of its own. */
export const withoutPlan = { plan: null, planVersion: null, expiresAt: null };

/**
 * Takes a subject's own plan away at once: the default plan follows. What is overridden for it stays so. Nothing happens when it has
 * no plan of its own.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when `authorize` does not allow it, `database_unavailable` (503)
 * @example await cancelPlan({ subject: { type: 'organization', id } });
 */
export async function cancelPlan<Context = unknown>(
  input: CancelPlan<Context> & SharedOptions,
): Promise<void> {
  const given = readOperation<CancelPlan>('cancelPlan', input);
  const { subject } = given;
  await operate(given, async (connection, session) => {
    const [before] = await Subscriptions(connection).now(subject.type, [subject.id], session);
    const cancelled = { update: { $set: withoutPlan }, only: { plan: { $ne: null } } };
    if (!(await changeSubscription(connection, session, subject, cancelled))) return null;
    return { action: 'plan.cancelled', details: { plan: before?.plan } };
  });
}
