import type { Connection } from 'mongoose';
import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { type StoredUser, Users } from '../../../models/user.js';
import { readUserId } from '../../../models/user-id.js';
import { opened } from '../../../runtime/connection.js';
import { database } from '../../../runtime/database.js';
import { objectId } from '../../../runtime/ids.js';
import { type Joined, joined } from '../membership-of.js';
import { asMember, type Member } from './as-member.js';

export interface MemberOf {
  readonly organizationId: string;
  readonly userId: string;
  readonly connection?: Connection | undefined;
}

/**
 * A member of an organization as the database has them now, in one command.
 *
 * @throws {TollgateError} `not_found` (404) for who is no member, also for malformed ids; `database_unavailable` (503)
 * @example const { role, teamIds } = await memberOf({ organizationId: acme.id, userId: user.id });
 */
export async function memberOf({ organizationId, userId, ...rest }: MemberOf): Promise<Member> {
  const connection = opened(rest.connection);
  const [_id, organization] = [readUserId(connection, userId), objectId(organizationId)];
  if (!_id || !organization) throw refuse('not_found');
  const users = {
    from: Users(connection).collection.name,
    localField: 'user',
    foreignField: '_id',
    pipeline: [{ $project: { email: 1, name: 1 } }],
    as: 'user',
  };
  const [found] = await database(() =>
    Memberships(connection).aggregate<Omit<Joined, 'user'> & { user: StoredUser & Pick<Joined, '_id'> }>([
      ...joined(connection, { user: _id, organization }, 1),
      { $lookup: users },
      { $unwind: '$user' },
    ]),
  );
  if (!found) throw refuse('not_found');
  return asMember({ ...found, user: found.user._id }, found.user);
}
