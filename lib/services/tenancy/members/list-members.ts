import type { Connection } from 'mongoose';
import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { Teams } from '../../../models/team.js';
import { Users } from '../../../models/user.js';
import { opened } from '../../../runtime/connection.js';
import { database } from '../../../runtime/database.js';
import { objectId } from '../../../runtime/ids.js';
import { type Page, type PageQuery, pageOf } from '../../../runtime/page.js';
import { asMember, type Member } from './as-member.js';

export interface ListMembers extends PageQuery {
  readonly organizationId: string;
  /** Only those of this team. */
  readonly teamId?: string | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * The members of an organization, or of one of its teams, in the order in which they joined.
 *
 * @throws {TollgateError} `not_found` (404) for a team that is unknown or another organization's; `database_unavailable` (503)
 * @example const { items } = await listMembers({ organizationId: acme.id, limit: 25 });
 */
export async function listMembers({
  organizationId,
  teamId,
  limit,
  after,
  ...rest
}: ListMembers): Promise<Page<Member>> {
  const connection = opened(rest.connection);
  const organization = objectId(organizationId);
  if (!organization) throw refuse('not_found');
  const inTeam = teamId === undefined ? {} : { teams: await teamIn(connection, organization, teamId) };
  const filter = { organization, ...inTeam, ...(after && { _id: { $gt: after } }) };
  const rows = await database(() =>
    Memberships(connection)
      .find(filter)
      .sort({ _id: 1 })
      .limit(limit + 1)
      .lean(),
  );
  const ids = rows.map(({ user }) => user);
  const users = await database(() =>
    Users(connection)
      .find({ _id: { $in: ids } }, { email: 1, name: 1 })
      .lean(),
  );
  const byId = new Map(users.map((user) => [String(user._id), user]));
  const page = pageOf(
    rows,
    limit,
    ({ _id }) => _id,
    (row) => row,
  );
  const items = page.items.flatMap((row) => {
    const user = byId.get(String(row.user));
    return user ? [asMember(row, user)] : []; // erased since the memberships were read
  });
  return { items, nextCursor: page.nextCursor };
}

async function teamIn(
  connection: Connection,
  organization: NonNullable<ReturnType<typeof objectId>>,
  teamId: string,
) {
  const _id = objectId(teamId);
  const found = _id && (await database(() => Teams(connection).exists({ _id, organization })));
  if (!found) throw refuse('not_found');
  return found._id;
}
