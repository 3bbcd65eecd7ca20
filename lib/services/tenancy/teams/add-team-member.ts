import Joi from 'joi';
import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { changed } from '../../../models/revocation.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import type { Member } from '../members/as-member.js';
import { findMember, shownMember } from '../members/find-member.js';
import { requireTeams } from '../members/hold-teams.js';
import { requireRights } from '../require-rights.js';

export interface TeamMembership extends Act {
  teamId: string;
  userId: string;
}

export const teamMembershipFields = {
  ...actFields,
  teamId: Joi.string().required(),
  userId: Joi.string().required(),
};

/** More than anybody works in. */
const mostTeams = 100;

/**
 * Puts a member into a team; nothing happens when they are in it.
 *
 * @throws {TollgateError} `not_found` (404) for an unknown member or team, also another organization's; `conflict` (409) beyond 100 teams of one
 *   member; `permission_missing` (403) when `actor` lacks `organization.teams.manage`; `overloaded`, `database_unavailable` (503)
 * @example await addTeamMember({ organizationId: acme.id, teamId: red.id, userId: user.id });
 */
export async function addTeamMember(input: TeamMembership & SharedOptions): Promise<Member> {
  const given = readOptions<TeamMembership>('addTeamMember', input, teamMembershipFields);
  const { teamId, userId } = given;
  return inOrganization(given, async (acting) => {
    const { connection, session } = acting;
    await requireRights(acting, ['organization.teams.manage']);
    const { _id, user, teams } = await findMember(acting, userId);
    const [team] = await requireTeams(acting, [teamId]);
    if (!team || teams.some((id) => id.equals(team))) return shownMember(acting, userId);
    if (teams.length >= mostTeams)
      throw refuse('conflict', { detail: `A member is in ${mostTeams} teams at most` });
    await Memberships(connection).updateOne({ _id }, { $addToSet: { teams: team } }, { session });
    await changed(connection, session, `user:${user}`);
    await acting.record(
      'organization.team.member-added',
      { type: 'user', id: userId },
      { teamId: String(team) },
    );
    return shownMember(acting, userId);
  });
}
