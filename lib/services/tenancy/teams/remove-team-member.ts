import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { changed } from '../../../models/revocation.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { findTeam } from '../find-team.js';
import { inOrganization } from '../in-organization.js';
import { findMember } from '../members/find-member.js';
import { requireRights } from '../require-rights.js';
import { type TeamMembership, teamMembershipFields } from './add-team-member.js';

/**
 * Takes a member out of a team.
 *
 * @throws {TollgateError} `not_found` (404) for an unknown member or team, and for who is not in it; `permission_missing` (403) when `actor` lacks
 *   `organization.teams.manage`; `overloaded`, `database_unavailable` (503)
 * @example await removeTeamMember({ organizationId: acme.id, teamId: red.id, userId: user.id });
 */
export async function removeTeamMember(input: TeamMembership & SharedOptions): Promise<void> {
  const given = readOptions<TeamMembership>('removeTeamMember', input, teamMembershipFields);
  const { teamId, userId } = given;
  await inOrganization(given, async (acting) => {
    const { connection, session } = acting;
    await requireRights(acting, ['organization.teams.manage']);
    const { _id: team } = await findTeam(acting, teamId);
    const { _id, user, teams, currentTeam } = await findMember(acting, userId);
    if (!teams.some((id) => id.equals(team))) throw refuse('not_found');
    const $set = currentTeam?.equals(team) ? { currentTeam: null } : {};
    await Memberships(connection).updateOne({ _id }, { $pull: { teams: team }, $set }, { session });
    await changed(connection, session, `user:${user}`);
    await acting.record(
      'organization.team.member-removed',
      { type: 'user', id: userId },
      { teamId: String(team) },
    );
  });
}
