import Joi from 'joi';
import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { changed } from '../../../models/revocation.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import type { Membership } from '../as-organization.js';
import { inOrganization } from '../in-organization.js';
import { findMember } from '../members/find-member.js';
import { requireTeams } from '../members/hold-teams.js';

export interface CurrentTeam {
  organizationId: string;
  userId: string;
  /** One of the member's teams; null: none. */
  teamId: string | null;
}

const own = {
  organizationId: Joi.string().required(),
  userId: Joi.string().required(),
  teamId: Joi.string().required().allow(null),
};

/**
 * Says which of a member's teams a request is about that names none.
 *
 * @throws {TollgateError} `not_found` (404) for who is no member, and for a team that they are not in; `overloaded`, `database_unavailable` (503)
 * @example await setCurrentTeam({ organizationId: acme.id, userId: user.id, teamId: red.id });
 */
export async function setCurrentTeam(input: CurrentTeam & SharedOptions): Promise<Membership> {
  const given = readOptions<CurrentTeam>('setCurrentTeam', input, own);
  const { userId, teamId } = given;
  return inOrganization({ ...given, actor: userId }, async (acting) => {
    const { connection, session } = acting;
    const { _id, user, role, teams } = await findMember(acting, userId);
    const [currentTeam = null] = teamId === null ? [] : await requireTeams(acting, [teamId]);
    if (currentTeam && !teams.some((id) => id.equals(currentTeam))) throw refuse('not_found');
    await Memberships(connection).updateOne({ _id }, { $set: { currentTeam } }, { session });
    await changed(connection, session, `user:${user}`);
    return { role, teamIds: teams.map(String), currentTeamId: currentTeam && String(currentTeam) };
  });
}
