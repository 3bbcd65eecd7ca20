import Joi from 'joi';
import { refuse } from '../../errors.js';
import { Plans } from '../../models/plan.js';
import { Subscriptions } from '../../models/subscription.js';
import type { SharedOptions } from '../../runtime/options.js';
import { changeSubscription } from './change-subscription.js';
import { operate, readOperation, type SubjectOperation } from './operate.js';

export interface AssignPlan<Context = unknown> extends SubjectOperation<Context> {
  /** The plan's code; its newest version is assigned. */
  plan: string;
  /** When it ends, and the default plan follows; no job needs to run for that. Default: it does not. */
  expiresAt?: Date | undefined;
  /** What months of billing are counted from. Default: as it was, which is the first time that the subject was given anything. */
  anchor?: Date | undefined;
}

const own = {
  plan: Joi.string().required(),
  expiresAt: Joi.date(),
  anchor: Joi.date(),
};

/**
 * Puts a subject on a plan, in the version that is in force now: also who is on an older version of it. Its entitlements follow at once,
 * and so do the limits of what it has begun to use; what is overridden for it stays so.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when `authorize` does not allow it, `not_found` (404) when there is no such plan,
 *   `conflict` (409) when it is archived and the subject is not on it already, `database_unavailable` (503)
 * @example await assignPlan({ subject: { type: 'organization', id }, plan: 'pro' });
 */
export async function assignPlan<Context = unknown>(
  input: AssignPlan<Context> & SharedOptions,
): Promise<void> {
  const given = readOperation<AssignPlan>('assignPlan', input, own);
  const { subject, plan: code, expiresAt = null, anchor } = given;
  await operate(given, async (connection, session) => {
    const plan = await Plans(connection).newest(code, session);
    if (!plan) throw refuse('not_found', { detail: `There is no plan ${code}` });
    if (!plan.active) {
      const [subscription] = await Subscriptions(connection).now(subject.type, [subject.id], session);
      if (subscription?.plan !== code)
        throw refuse('conflict', { detail: `The plan ${code} is archived: only who has it can keep it` });
    }
    const facts = { plan: code, planVersion: plan.version, expiresAt, ...(anchor && { anchor }) };
    await changeSubscription(connection, session, subject, { update: { $set: facts } });
    const details = { plan: code, version: plan.version, ...(expiresAt && { expiresAt }) };
    return { action: 'plan.assigned', details };
  });
}
