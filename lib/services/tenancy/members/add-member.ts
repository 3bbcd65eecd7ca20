import Joi from 'joi';
import { refuse } from '../../../errors.js';
import { Invitations } from '../../../models/invitation.js';
import { Organizations } from '../../../models/organization.js';
import { Users } from '../../../models/user.js';
import { readUserId } from '../../../models/user-id.js';
import { isDuplicate } from '../../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { holdRole } from '../../roles/hold-role.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { requireRights } from '../require-rights.js';
import type { Member } from './as-member.js';
import { requireTeams } from './hold-teams.js';
import { join, refuseMember, requireSeat } from './join.js';

export interface AddMember extends Act {
  userId: string;
  /** Default `member`. */
  role?: string | undefined;
  teamIds?: readonly string[] | undefined;
}

export const roleName = Joi.string().max(100);
export const teamIdList = Joi.array().items(Joi.string().max(100)).max(100) as Joi.ArraySchema<string[]>;

const own = { ...actFields, userId: Joi.string().required(), role: roleName, teamIds: teamIdList };

/**
 * Makes a user a member of an organization without an invitation; one that is open for their address ends, and its seat is theirs.
 *
 * @throws {TollgateError} `not_found` (404) for an unknown organization, user or team; `already_member`, `seats_exhausted` (409);
 *   `validation_failed` (400) for an unknown role; `permission_missing` (403) when `actor` lacks what the role holds; `overloaded`,
 *   `database_unavailable` (503)
 * @example await addMember({ organizationId: acme.id, userId: user.id, role: 'admin' });
 */
export async function addMember(input: AddMember & SharedOptions): Promise<Member> {
  const given = readOptions<AddMember>('addMember', input, own);
  const { userId, role = 'member', teamIds = [] } = given;
  return inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    const _id = readUserId(connection, userId);
    const user = _id && (await Users(connection).noteJoin(_id, {}, session));
    if (!user) throw refuse('not_found');
    await refuseMember(acting, user._id);
    const permissions = await holdRole(connection, session, { organization, name: role });
    await requireRights(acting, ['organization.members.manage'], permissions);
    const teams = await requireTeams(acting, teamIds);
    const invited = { email: user.email, organization };
    const invitation = await Invitations(connection).findOneAndDelete(invited, { session }).lean();
    const seated = await Organizations(connection).seatUninvited(
      organization,
      invitation?._id ?? null,
      session,
    );
    requireSeat(seated);
    return join(acting, { user, role, teams });
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'user') ? refuse('already_member') : error;
  });
}
