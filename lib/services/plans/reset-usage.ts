import Joi from 'joi';
import { resetCounters } from '../../quota/counters.js';
import type { SharedOptions } from '../../runtime/options.js';
import { codePattern } from './features.js';
import { operate, readOperation, type SubjectOperation } from './operate.js';

export interface ResetUsage<Context = unknown> extends SubjectOperation<Context> {
  /** The code of the feature. Default: all. */
  feature?: string | undefined;
}

export const featureCode = Joi.string().pattern(codePattern);

/**
 * Lets nothing be used of a subject's allowances in their current periods, which end as they would have. What was taken before and is
 * given back later is lost.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when `authorize` does not allow it, `database_unavailable` (503)
 * @example await resetUsage({ subject: { type: 'user', id }, feature: 'images' });
 */
export async function resetUsage<Context = unknown>(
  input: ResetUsage<Context> & SharedOptions,
): Promise<void> {
  const given = readOperation<ResetUsage>('resetUsage', input, { feature: featureCode });
  const { subject, feature } = given;
  await operate(given, async (connection, session) => {
    await resetCounters(connection, session, { subject, features: feature ? [feature] : undefined });
    return { action: 'plan.usage-reset', details: { feature: feature ?? null } };
  });
}
