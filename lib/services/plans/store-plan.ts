import { isDeepStrictEqual } from 'node:util';
import type { ClientSession, Connection } from 'mongoose';
import { recordAudit } from '../../audit/record-audit.js';
import { Plans } from '../../models/plan.js';
import { changed } from '../../models/revocation.js';
import { type Authority, byWhom } from './authority.js';
import type { Plan } from './catalogue.js';
import type { PlanDefinition } from './features.js';

/** What is to be stored of a plan. */
export interface PlanToStore extends PlanDefinition {
  readonly code: string;
  /** Whether it can be had. Default: as it was. */
  readonly active?: boolean | undefined;
}

/**
 * Stores a plan within the transaction of `session`: one that differs from its newest version as a new version, whether it can be had and
 * which plan is the default beside that. The mark of the default plan is only ever taken over, never given up. Nothing is written
 * when nothing differs.
 *
 * @returns its newest version
 */
export async function storePlan(
  connection: Connection,
  session: ClientSession,
  { code, default: claims, active: wanted, ...plan }: PlanToStore,
  by: Authority = {},
): Promise<Plan> {
  const plans = Plans(connection);
  const newest = await plans.newest(code, session);
  const facts = JSON.parse(JSON.stringify(plan)); // an absent key and an undefined one are the same
  const isSame = newest && isDeepStrictEqual(facts, factsOf(newest));
  const isDefault = claims || newest?.default || false;
  const active = claims || (wanted ?? newest?.active ?? true);
  if (isSame && newest.default === isDefault && newest.active === active) return newest as unknown as Plan;
  const generation = await plans.nextGeneration(session);
  if (isDefault) await plans.updateMany({ default: true }, { default: false }, { session });
  const version = isSame ? newest.version : (newest?.version ?? 0) + 1;
  const state = { default: isDefault, active, generation };
  if (isSame) await plans.updateOne({ code, version }, state, { session });
  else await plans.insertMany([{ code, version, ...facts, ...state }], { session });
  await changed(connection, session, 'plans');
  const action = newest ? (active || !newest.active ? 'plan.updated' : 'plan.archived') : 'plan.created';
  const target = { type: 'plan', id: code };
  await recordAudit({ connection, session, ...byWhom(by), action, target, details: { version } });
  return (await plans.newest(code, session)) as unknown as Plan;
}

const factsOf = ({ name, tier, features }: PlanDefinition) => ({ name, tier, features });
