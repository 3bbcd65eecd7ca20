import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { type Page, type PageQuery, pageOf } from '../../runtime/page.js';
import { asPlan, type ShownPlan } from './as-plan.js';
import { catalogue } from './catalogue.js';

export interface ListPlans extends PageQuery {
  /** Those that are archived too. */
  readonly archived: boolean;
  readonly connection: Connection;
}

/**
 * The plans in their newest versions, the lowest tier first.
 *
 * @throws {TollgateError} `validation_failed` (400) when there is no plan any more after which the page would begin
 */
export async function listPlans({ archived, connection, limit, after }: ListPlans): Promise<Page<ShownPlan>> {
  const { newest, current } = await catalogue(connection);
  const plans = archived ? newest : current;
  const last = after ? plans.findIndex(({ _id }) => _id.equals(after)) : -1;
  if (after && last === -1)
    throw refuse('validation_failed', {
      errors: [{ path: 'cursor', message: 'must be the nextCursor of a page of this list' }],
    });
  return pageOf(plans.slice(last + 1, last + limit + 2), limit, ({ _id }) => _id, asPlan);
}

/**
 * A plan in its newest version.
 *
 * @throws {TollgateError} `not_found` (404)
 */
export async function planOf({
  code,
  archived,
  connection,
}: { readonly code: string } & Pick<ListPlans, 'archived' | 'connection'>): Promise<ShownPlan> {
  const { newest, current } = await catalogue(connection);
  const plan = (archived ? newest : current).find((plan) => plan.code === code);
  if (!plan) throw refuse('not_found', { detail: `There is no plan ${code}` });
  return asPlan(plan);
}
