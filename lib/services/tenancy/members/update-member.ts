import Joi from 'joi';
import { Memberships } from '../../../models/membership.js';
import { changed } from '../../../models/revocation.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { holdRole } from '../../roles/hold-role.js';
import { type Act, type Acting, actFields, inOrganization } from '../in-organization.js';
import { permissionsOfRole, requireRights } from '../require-rights.js';
import { roleName, teamIdList } from './add-member.js';
import type { FoundMembership, Member } from './as-member.js';
import { changeRole } from './change-role.js';
import { findMember, shownMember } from './find-member.js';
import { requireTeams } from './hold-teams.js';

export interface MemberUpdate extends Act {
  userId: string;
  role?: string | undefined;
  /** All teams that the member is in from then on. */
  teamIds?: readonly string[] | undefined;
}

const own = { ...actFields, userId: Joi.string().required(), role: roleName, teamIds: teamIdList };

/**
 * Changes the role of a member, or their teams; gives the member as they are then.
 *
 * @throws {TollgateError} `not_found` (404) for an unknown member or team; `last_owner` (409); `validation_failed` (400) for an unknown role;
 *   `permission_missing` (403) when `actor` lacks what the old or the new role holds; `overloaded`, `database_unavailable` (503)
 * @example await updateMember({ organizationId: acme.id, userId: user.id, role: 'admin', actor: owner.id });
 */
export async function updateMember(input: MemberUpdate & SharedOptions): Promise<Member> {
  const given = readOptions<MemberUpdate>('updateMember', input, own);
  const { userId, role, teamIds } = given;
  return inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    const membership = await findMember(acting, userId);
    const held = await permissionsOfRole(acting, membership.role);
    const given = role === undefined ? [] : await holdRole(connection, session, { organization, name: role });
    await requireRights(acting, ['organization.members.manage'], [...held, ...given]);
    if (role !== undefined) await changeRole(acting, membership, role);
    if (teamIds) await putIntoTeams(acting, membership, teamIds);
    return shownMember(acting, userId);
  });
}

async function putIntoTeams(
  acting: Acting,
  { _id, user, currentTeam }: FoundMembership,
  teamIds: readonly string[],
): Promise<void> {
  const { connection, session } = acting;
  const teams = await requireTeams(acting, teamIds);
  const left = currentTeam && !teams.some((id) => id.equals(currentTeam));
  const $set = left ? { teams, currentTeam: null } : { teams };
  await Memberships(connection).updateOne({ _id }, { $set }, { session });
  await changed(connection, session, `user:${user}`);
  const target = { type: 'user', id: String(user) };
  await acting.record('organization.member.teams-changed', target, { teamIds: teams.map(String) });
}
