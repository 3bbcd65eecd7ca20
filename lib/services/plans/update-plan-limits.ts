import Joi from 'joi';
import { refuse } from '../../errors.js';
import type { SharedOptions } from '../../runtime/options.js';
import { changeSubscription } from './change-subscription.js';
import { codePattern, featureOf, isLimited, units } from './features.js';
import { operate, readOperation, type SubjectOperation } from './operate.js';

/** By feature: so many units, null for no limit, `'plan'` for what the plan says. */
export type LimitChanges = Readonly<Record<string, number | null | 'plan'>>;

export interface UpdatePlanLimits<Context = unknown> extends SubjectOperation<Context> {
  limits: LimitChanges;
}

export const limitChanges = Joi.object<LimitChanges>()
  .pattern(codePattern, Joi.alternatives(units, Joi.valid(null, 'plan')))
  .min(1);

const own = { limits: limitChanges.required() };

/**
 * Overrides limits of a subject's plan, for it alone: those that are named, the others stay as they are. An override goes before the
 * limit of whatever plan the subject is on that has the feature, until `'plan'` takes it away.
 *
 * It counts at once, also below what is used already: then nothing more is granted in the period, and nothing else happens.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when `authorize` does not allow it, `validation_failed` (400) when the subject's plan
 *   has no number or allowance of that name, `database_unavailable` (503)
 * @example await updatePlanLimits({ subject: { type: 'user', id }, limits: { images: 500, projects: null, tokens: 'plan' } });
 */
export async function updatePlanLimits<Context = unknown>(
  input: UpdatePlanLimits<Context> & SharedOptions,
): Promise<void> {
  const given = readOperation<UpdatePlanLimits>('updatePlanLimits', input, own);
  const { subject, limits } = given;
  const set = Object.entries(limits).filter(([, limit]) => limit !== 'plan');
  const unset = Object.keys(limits).filter((code) => limits[code] === 'plan');
  const update = {
    $set: Object.fromEntries(set.map(([code, limit]) => [`overrides.${code}`, limit])),
    $unset: Object.fromEntries(unset.map((code) => [`overrides.${code}`, 1])),
  };
  await operate(given, async (connection, session) => {
    const changed = await changeSubscription(connection, session, subject, { update });
    const plan = changed?.plan;
    const unknown = set.map(([code]) => code).filter((code) => !plan || !isLimited(featureOf(plan, code)));
    if (unknown.length > 0) throw refuseLimits(unknown);
    return { action: 'plan.limits-changed', details: { limits } };
  });
}

const refuseLimits = (codes: readonly string[]) =>
  refuse('validation_failed', {
    errors: codes.map((code) => ({ path: `limits.${code}`, message: 'is no limit of the subject’s plan' })),
  });
