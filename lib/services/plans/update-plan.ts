import Joi from 'joi';
import { refuse } from '../../errors.js';
import { Plans } from '../../models/plan.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { asPlan, type ShownPlan } from './as-plan.js';
import { type Authority, authorityFields, requireAuthority } from './authority.js';
import type { Plan } from './catalogue.js';
import { type Feature, featuresSchema, planName, planTier } from './features.js';
import { storePlan } from './store-plan.js';

export interface PlanUpdate<Context = unknown> extends Authority<Context> {
  code: string;
  name?: string | undefined;
  tier?: number | undefined;
  /** All of them: those that are not named are gone. */
  features?: Readonly<Record<string, Feature>> | undefined;
  /** Makes it the default plan. There is no way back but to make another one the default. */
  default?: true | undefined;
  /** False archives it: nobody can get it any more, and whoever has it keeps it. */
  active?: boolean | undefined;
}

const own = {
  ...authorityFields,
  code: Joi.string().required(),
  name: planName,
  tier: planTier,
  features: featuresSchema('unlimited'),
  default: Joi.valid(true),
  active: Joi.boolean(),
};

/**
 * Changes a plan. Another name, tier or features make a new version: subscribers keep the one they have, and whoever is on the default
 * plan by default gets the new one at once.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when `authorize` does not allow it, `not_found` (404), `conflict` (409) when it would archive
 *   the default plan, `database_unavailable` (503)
 * @example await updatePlan({ code: 'team', active: false });
 */
export async function updatePlan<Context = unknown>(
  input: PlanUpdate<Context> & SharedOptions,
): Promise<ShownPlan> {
  const given = readOptions<PlanUpdate>('updatePlan', input, own);
  const { code, active } = given;
  const connection = opened(given.connection);
  await requireAuthority(given);
  return transaction(connection, async (session) => {
    const newest = (await Plans(connection).newest(code, session)) as unknown as Plan | null;
    if (!newest) throw refuse('not_found', { detail: `There is no plan ${code}` });
    if (active === false && (given.default ?? newest.default))
      throw refuse('conflict', {
        detail: 'The default plan cannot be archived; make another one the default',
      });
    const { name = newest.name, tier = newest.tier, features = newest.features } = given;
    const plan = { code, name, tier, features, default: given.default, active };
    return asPlan(await storePlan(connection, session, plan, given));
  });
}
