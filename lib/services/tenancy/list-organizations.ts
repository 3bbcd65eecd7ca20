import type { Connection, Types } from 'mongoose';
import { Memberships, type StoredMembership } from '../../models/membership.js';
import type { StoredOrganization } from '../../models/organization.js';
import { Subscriptions } from '../../models/subscription.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';
import { type Page, type PageQuery, pageOf } from '../../runtime/page.js';
import { catalogue } from '../plans/catalogue.js';
import { planIn } from '../plans/entitlements-of.js';
import type { Organization } from './as-organization.js';
import { withOrganization } from './membership-of.js';

type Joined = StoredMembership & {
  _id: Types.ObjectId;
  organization: StoredOrganization & { _id: Types.ObjectId };
};

export interface ListOrganizations extends PageQuery {
  readonly userId: string;
  readonly connection: Connection;
}

/** The organizations of a user, in the order of their ids. */
export async function listOrganizations({
  userId,
  connection,
  limit,
  after,
}: ListOrganizations): Promise<Page<Organization>> {
  const mine = { user: objectId(userId), ...(after && { organization: { $gt: after } }) };
  const joined = await database(() =>
    Memberships(connection).aggregate<Joined>([
      { $match: mine },
      { $sort: { organization: 1 } },
      { $limit: limit + 1 },
      ...withOrganization(connection),
    ]),
  );
  const plans = await plansOf(
    connection,
    joined.map(({ organization }) => String(organization._id)),
  );
  return pageOf(
    joined,
    limit,
    ({ organization }) => organization._id,
    ({ organization: { _id, name, slug }, role }) => {
      const id = String(_id);
      return { id, name, slug, role, plan: plans.get(id) ?? null };
    },
  );
}

/** The code of each organization's plan, in two commands at most. */
async function plansOf(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, string | undefined>> {
  const theirs = { 'subject.type': 'organization' as const, 'subject.id': { $in: [...ids] } };
  const [subscriptions, plans] = await Promise.all([
    database(() => Subscriptions(connection).find(theirs, { subject: 1, plan: 1, planVersion: 1 }).lean()),
    catalogue(connection),
  ]);
  const bySubject = new Map(subscriptions.map((subscription) => [subscription.subject?.id, subscription]));
  return new Map(ids.map((id) => [id, planIn(plans, bySubject.get(id))?.code]));
}
