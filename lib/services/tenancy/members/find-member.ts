import type { ClientSession, Connection, Types } from 'mongoose';
import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { Users } from '../../../models/user.js';
import { readUserId } from '../../../models/user-id.js';
import { asMember, type FoundMembership, type Member } from './as-member.js';

type Where = {
  readonly connection: Connection;
  readonly session: ClientSession;
  readonly organization: Types.ObjectId;
};

/**
 * A user's membership, as the transaction sees it.
 *
 * @throws {TollgateError} `not_found` (404), also for a malformed id
 */
export async function findMember(
  { connection, session, organization }: Where,
  userId: string,
): Promise<FoundMembership> {
  const user = readUserId(connection, userId);
  const found =
    user && (await Memberships(connection).findOne({ user, organization }, null, { session }).lean());
  if (!found) throw refuse('not_found');
  return found;
}

/** The member as it is now, for an answer. */
export async function shownMember(where: Where, userId: string): Promise<Member> {
  const { connection, session } = where;
  const membership = await findMember(where, userId);
  const user = await Users(connection)
    .findById(membership.user, { email: 1, name: 1 }, { session })
    .orFail(() => refuse('not_found'))
    .lean();
  return asMember(membership, user);
}
