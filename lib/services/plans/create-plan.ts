import Joi from 'joi';
import { refuse } from '../../errors.js';
import { Plans } from '../../models/plan.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { asPlan, type ShownPlan } from './as-plan.js';
import { type Authority, authorityFields, requireAuthority } from './authority.js';
import { codePattern, featuresSchema, type PlanDefinition, planName, planTier } from './features.js';
import { storePlan } from './store-plan.js';

export interface NewPlan<Context = unknown> extends PlanDefinition, Authority<Context> {
  code: string;
}

export const planCode = Joi.string().pattern(codePattern).messages({
  'string.pattern.base': 'must be lower-case letters, digits and hyphens, and begin with a letter',
});

const own = {
  ...authorityFields,
  code: planCode.required(),
  name: planName.required(),
  tier: planTier.required(),
  features: featuresSchema('unlimited').required(),
  default: Joi.boolean(),
};

/**
 * Stores a new plan; as the default one, it takes the mark from whichever had it.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when `authorize` does not allow it, `conflict` (409) when there is a plan of that code, also
 *   an archived one, `database_unavailable` (503)
 * @example await createPlan({ code: 'team', name: 'Team', tier: 2, features: { images: { limit: 500, per: 'month' } } });
 */
export async function createPlan<Context = unknown>(
  input: NewPlan<Context> & SharedOptions,
): Promise<ShownPlan> {
  const given = readOptions<NewPlan>('createPlan', input, own);
  const { code, name, tier, features, default: isDefault } = given;
  const connection = opened(given.connection);
  await requireAuthority(given);
  return transaction(connection, async (session) => {
    if (await Plans(connection).newest(code, session))
      throw refuse('conflict', { detail: `There is a plan ${code} already` });
    const plan = { code, name, tier, features, default: isDefault };
    return asPlan(await storePlan(connection, session, plan, given));
  });
}
