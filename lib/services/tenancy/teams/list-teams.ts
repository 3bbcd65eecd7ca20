import type { Connection } from 'mongoose';
import { refuse } from '../../../errors.js';
import { Teams } from '../../../models/team.js';
import { opened } from '../../../runtime/connection.js';
import { database } from '../../../runtime/database.js';
import { objectId } from '../../../runtime/ids.js';
import { type Page, type PageQuery, pageOf } from '../../../runtime/page.js';
import type { Team } from '../as-organization.js';

export interface ListTeams extends PageQuery {
  readonly organizationId: string;
  readonly connection?: Connection | undefined;
}

/** The teams of an organization, the oldest first. */
export async function listTeams({ organizationId, limit, after, ...rest }: ListTeams): Promise<Page<Team>> {
  const connection = opened(rest.connection);
  const organization = objectId(organizationId);
  if (!organization) throw refuse('not_found');
  const rows = await database(() =>
    Teams(connection)
      .find({ organization, ...(after && { _id: { $gt: after } }) }, { name: 1 })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .lean(),
  );
  return pageOf(
    rows,
    limit,
    ({ _id }) => _id,
    ({ _id, name }) => Object.freeze({ id: String(_id), name }),
  );
}
