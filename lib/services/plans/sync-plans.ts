import { isDeepStrictEqual } from 'node:util';
import Joi from 'joi';
import type { ClientSession, Connection } from 'mongoose';
import { Plans } from '../../models/plan.js';
import { changed } from '../../models/revocation.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { codePattern, type PlanDefinition, planSchema } from './features.js';

export interface SyncPlans {
  /** By code. A plan that is stored but not named here stays as it is. */
  plans: Readonly<Record<string, PlanDefinition>>;
}

const oneDefault: Joi.CustomValidator = (plans: SyncPlans['plans'], helpers) =>
  Object.values(plans).filter((plan) => plan.default).length > 1
    ? helpers.message({ custom: 'must mark one plan as default at most' })
    : plans;

const own = { plans: Joi.object().pattern(codePattern, planSchema).required().custom(oneDefault) };

/**
 * Stores plans. The one that is marked as default takes the mark from whichever had it. A plan that differs from its newest version becomes a new version: subscribers keep the one they have.
 * Repeating it changes nothing, and several processes may do it at once.
 *
 * @throws {TypeError} when a definition is wrong, naming the path
 * @throws {TollgateError} `database_unavailable` (503)
 * @example await syncPlans({ plans: { free: { name: 'Free', tier: 0, default: true, features: { export: true } } } });
 */
export async function syncPlans(input: SyncPlans & SharedOptions): Promise<void> {
  const given = readOptions<SyncPlans>('syncPlans', input, own);
  const connection = opened(given.connection);
  await transaction(connection, async (session) => {
    let stored = 0;
    for (const [code, plan] of Object.entries(given.plans))
      stored += await store(connection, session, code, plan);
    const [fallback] = Object.entries(given.plans).find(([, plan]) => plan.default) ?? [];
    if (fallback) {
      const others = { default: true, code: { $ne: fallback } };
      stored += (await Plans(connection).updateMany(others, { default: false }, { session })).modifiedCount;
    }
    if (stored > 0) await changed(connection, session, 'plans');
  });
}

async function store(
  connection: Connection,
  session: ClientSession,
  code: string,
  plan: PlanDefinition,
): Promise<0 | 1> {
  const newest = await Plans(connection).findOne({ code }, null, { session }).sort({ version: -1 }).lean();
  const facts = { name: plan.name, tier: plan.tier, default: plan.default ?? false, features: plan.features };
  if (
    newest &&
    isDeepStrictEqual(facts, {
      name: newest.name,
      tier: newest.tier,
      default: newest.default,
      features: newest.features,
    })
  )
    return 0;
  await Plans(connection).insertMany(
    [{ code, version: (newest?.version ?? 0) + 1, ...facts, active: true }],
    { session },
  );
  return 1;
}
