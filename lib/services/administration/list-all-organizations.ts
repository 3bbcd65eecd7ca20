import type { Connection } from 'mongoose';
import { Organizations } from '../../models/organization.js';
import { database } from '../../runtime/database.js';
import { type Page, type PageQuery, pageOf } from '../../runtime/page.js';
import { plansOf } from '../tenancy/list-organizations.js';

/** An organization as an administrator of the application sees it, whoever is its member. */
export interface OrganizationSummary {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  /** The code of its plan; null when the application has no plans. */
  readonly plan: string | null;
  readonly members: number;
  readonly owners: number;
  readonly createdAt: Date | null;
}

/** Every organization, the oldest first. */
export async function listAllOrganizations({
  connection,
  limit,
  after,
}: PageQuery & { readonly connection: Connection }): Promise<Page<OrganizationSummary>> {
  const rows = await database(() =>
    Organizations(connection)
      .find(after ? { _id: { $gt: after } } : {}, { name: 1, slug: 1, members: 1, owners: 1, createdAt: 1 })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .lean(),
  );
  const plans = await plansOf(
    connection,
    rows.slice(0, limit).map(({ _id }) => String(_id)),
  );
  return pageOf(
    rows,
    limit,
    ({ _id }) => _id,
    ({ _id, name, slug, members, owners, createdAt }) => {
      const id = String(_id);
      return { id, name, slug, plan: plans.get(id) ?? null, members, owners, createdAt: createdAt ?? null };
    },
  );
}
