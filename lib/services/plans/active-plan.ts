import { asPlan, type ShownPlan } from './as-plan.js';
import { type EntitlementsOf, entitlementsOf } from './entitlements-of.js';
import type { Entitlements } from './granted.js';

/** The plan of a subject, with what holds for it alone. */
export interface ActivePlan extends Pick<Entitlements, 'limits' | 'overrides' | 'expiresAt'> {
  /** Null when the application has no plans. */
  readonly plan: ShownPlan | null;
}

/**
 * The plan that a subject is on now, in its version: its own, else the default plan; with the limits that hold for it.
 *
 * @throws {TypeError} when the subject is none
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { plan, limits, expiresAt } = await activePlan({ subject: { type: 'user', id: user.id } });
 */
export async function activePlan(of: EntitlementsOf): Promise<ActivePlan> {
  const { plan, limits, overrides, expiresAt } = await entitlementsOf(of);
  return { plan: plan && asPlan(plan), limits, overrides, expiresAt };
}
