import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';
import { type Page, type PageQuery, pageOf } from '../../runtime/page.js';
import { asRole, type Role } from './as-role.js';

export interface ListRoles extends PageQuery {
  /** Whose roles; without it the global ones. */
  readonly organizationId?: string | undefined;
  readonly connection?: Connection | undefined;
}

/** The roles that an organization has made, beside owner, admin and member; or the global ones. The oldest first. */
export async function listRoles({ organizationId, limit, after, ...rest }: ListRoles): Promise<Page<Role>> {
  const connection = opened(rest.connection);
  const organization = objectId(organizationId);
  if (organizationId !== undefined && !organization) throw refuse('not_found');
  const rows = await database(() =>
    Roles(connection)
      .find({ organization, ...(after && { _id: { $gt: after } }) })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .lean(),
  );
  return pageOf(rows, limit, ({ _id }) => _id, asRole);
}
