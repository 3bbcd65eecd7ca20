import type { Types } from 'mongoose';
import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { Organizations } from '../../../models/organization.js';
import { changed } from '../../../models/revocation.js';
import type { StoredUser } from '../../../models/user.js';
import type { Acting } from '../in-organization.js';
import { asMember, type Member } from './as-member.js';
import { holdTeams } from './hold-teams.js';

/** Who joins: a user who was noted with `Users.noteJoin()` in the same transaction, so that the account cannot end meanwhile. */
export interface Joining {
  readonly user: StoredUser & { readonly _id: Types.ObjectId };
  readonly role: string;
  /** Those that are gone by now are passed over. */
  readonly teams: readonly Types.ObjectId[];
  /** The invitation that ends with it, for the audit log; none: nobody had invited them. */
  readonly invitation?: Types.ObjectId | undefined;
}

/**
 * Makes a user a member, in the transaction of `acting`; the seat has been taken. Beside `teams` they join the organization's default team, which
 * becomes their current one.
 */
export async function join(acting: Acting, { user, role, teams, invitation }: Joining): Promise<Member> {
  const { connection, session, organization } = acting;
  const { defaultTeam } = await Organizations(connection)
    .findById(organization, { defaultTeam: 1 }, { session })
    .orFail(() => refuse('not_found'))
    .lean();
  const held = await holdTeams(acting, defaultTeam ? [...teams, defaultTeam] : teams);
  const suspended = role === 'owner' && user.status === 'inactive' ? true : undefined;
  if (role === 'owner' && !suspended) await Organizations(connection).gainOwner(organization, session);
  const currentTeam = held.find((id) => defaultTeam?.equals(id)) ?? null;
  const facts = { organization, user: user._id, role, teams: held, currentTeam, suspended };
  const [membership] = await Memberships(connection).insertMany([facts], { session });
  if (!membership) throw refuse('internal', { detail: 'A membership was not stored' });
  await changed(connection, session, `user:${user._id}`);
  const details = { role, teamIds: held.map(String), ...(invitation && { invitation: String(invitation) }) };
  await acting.record('organization.member.joined', { type: 'user', id: String(user._id) }, details);
  return asMember(membership.toObject(), user);
}

/**
 * Refuses who is a member already, before any counter moves; the unique index stands behind it.
 *
 * @throws {TollgateError} `already_member` (409)
 */
export async function refuseMember(
  { connection, session, organization }: Acting,
  user: Types.ObjectId,
): Promise<void> {
  const membership = Memberships(connection).exists({ user, organization }).session(session);
  if (await membership) throw refuse('already_member');
}

/**
 * Refuses when the organization had no seat to give.
 *
 * @throws {TollgateError} `seats_exhausted` (409)
 */
export function requireSeat({ modifiedCount }: { readonly modifiedCount: number }): void {
  if (modifiedCount === 0) throw refuse('seats_exhausted');
}
