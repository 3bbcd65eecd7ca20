import type { Connection } from 'mongoose';
import { Memberships } from '../../models/membership.js';
import { Organizations } from '../../models/organization.js';
import { Subscriptions } from '../../models/subscription.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';
import { type Page, type PageQuery, pageOf } from '../../runtime/page.js';
import { catalogue } from '../plans/catalogue.js';
import { planIn } from '../plans/granted.js';
import type { Organization } from './as-organization.js';

export interface ListOrganizations extends PageQuery {
  readonly userId: string;
  /** The only one to give, if the user is a member: that of an API key. */
  readonly only?: string | null | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * The organizations of a user, in the order of their ids, each with the user's role in it.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { items } = await listOrganizations({ userId: user.id, limit: 25 });
 */
export async function listOrganizations({
  userId,
  only,
  limit,
  after,
  ...rest
}: ListOrganizations): Promise<Page<Organization>> {
  const connection = opened(rest.connection);
  const organization = { ...(only && { $eq: objectId(only) }), ...(after && { $gt: after }) };
  const mine = { user: readUserId(connection, userId), ...((only || after) && { organization }) };
  const rows = await database(() =>
    Memberships(connection)
      .find(mine, { organization: 1, role: 1 })
      .sort({ organization: 1 })
      .limit(limit + 1)
      .lean(),
  );
  const page = pageOf(
    rows,
    limit,
    ({ organization }) => organization,
    (row) => row,
  );
  const ids = page.items.map(({ organization }) => organization);
  const found = await database(() =>
    Organizations(connection)
      .find({ _id: { $in: ids } }, { name: 1, slug: 1 })
      .lean(),
  );
  const byId = new Map(found.map((organization) => [String(organization._id), organization]));
  const plans = await plansOf(connection, [...byId.keys()]);
  const items = page.items.flatMap(({ organization, role }) => {
    const id = String(organization);
    const shown = byId.get(id);
    return shown ? { id, name: shown.name, slug: shown.slug, role, plan: plans.get(id) ?? null } : [];
  });
  return { items, nextCursor: page.nextCursor };
}

/** The code of each organization's plan, in two commands at most. */
export async function plansOf(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, string | undefined>> {
  const [subscriptions, plans] = await Promise.all([
    database(() => Subscriptions(connection).now('organization', ids)),
    catalogue(connection),
  ]);
  const bySubject = new Map(subscriptions.map((subscription) => [subscription.subject.id, subscription]));
  return new Map(ids.map((id) => [id, planIn(plans, bySubject.get(id))?.code]));
}
