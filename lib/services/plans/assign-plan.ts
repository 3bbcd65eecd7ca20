import Joi from 'joi';
import { recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Plans } from '../../models/plan.js';
import { changed } from '../../models/revocation.js';
import { Subscriptions } from '../../models/subscription.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { type Subject, subjectKey, subjectSchema } from '../../runtime/subject.js';
import { transaction } from '../../runtime/transaction.js';

export interface AssignPlan {
  subject: Subject;
  /** The plan's code; its newest version is assigned. */
  plan: string;
}

const own = { subject: subjectSchema.required(), plan: Joi.string().required() };

/**
 * Puts a subject on a plan, in the version that is in force now. Its entitlements follow at once.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404) when there is no such plan, `database_unavailable` (503)
 * @example await assignPlan({ subject: { type: 'organization', id }, plan: 'pro' });
 */
export async function assignPlan(input: AssignPlan & SharedOptions): Promise<void> {
  const { subject, plan: code, ...given } = readOptions<AssignPlan>('assignPlan', input, own);
  const connection = opened(given.connection);
  await transaction(connection, async (session) => {
    const plan = await Plans(connection)
      .findOne({ code }, { version: 1 }, { session })
      .sort({ version: -1 })
      .lean();
    if (!plan) throw refuse('not_found', { detail: `There is no plan ${code}` });
    const who = { 'subject.type': subject.type, 'subject.id': subject.id };
    const update = { $set: { plan: code, planVersion: plan.version }, $inc: { version: 1 } };
    await Subscriptions(connection).updateOne(who, update, { session, upsert: true });
    await changed(connection, session, subjectKey(subject));
    await recordAudit({
      connection,
      session,
      action: 'plan.assigned',
      target: subject,
      details: { plan: code },
    });
  });
}
