import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { type PlanDefinition, plansSchema } from './features.js';
import { storePlan } from './store-plan.js';

export interface SyncPlans {
  /** By code. A plan that is stored but not named here stays as it is. */
  plans: Readonly<Record<string, PlanDefinition>>;
}

/**
 * Stores plans. A plan that differs from its newest version becomes a new version: subscribers keep the one they have. The one that
 * is marked as default takes the mark from whichever had it; with none marked, the mark stays where it is. An archived plan stays
 * archived.
 *
 * Repeating it changes nothing, and several processes may do it at once. Each change is in the audit log.
 *
 * @throws {TypeError} when a definition is wrong, naming the path
 * @throws {TollgateError} `database_unavailable` (503)
 * @example await syncPlans({ plans: { free: { name: 'Free', tier: 0, default: true, features: { export: true } } } });
 */
export async function syncPlans(input: SyncPlans & SharedOptions): Promise<void> {
  const given = readOptions<SyncPlans>('syncPlans', input, { plans: plansSchema });
  const connection = opened(given.connection);
  await transaction(connection, async (session) => {
    for (const [code, plan] of Object.entries(given.plans))
      await storePlan(connection, session, { code, ...plan });
  });
}
