import Joi from 'joi';
import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { changed } from '../../../models/revocation.js';
import { readUserId } from '../../../models/user-id.js';
import { opened } from '../../../runtime/connection.js';
import { objectId } from '../../../runtime/ids.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { transaction } from '../../../runtime/transaction.js';
import type { Membership } from '../as-organization.js';
import { findTeam } from '../find-team.js';
import { readMembership } from '../membership-of.js';

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
 * Says which of a member's teams a request is about that names none. It is written into the membership alone, so members do not wait for each other,
 * nor for whoever changes the organization; being a preference, it is not in the audit log.
 *
 * @throws {TollgateError} `not_found` (404) for who is no member, and for a team that they are not in; `database_unavailable` (503)
 * @example await setCurrentTeam({ organizationId: acme.id, userId: user.id, teamId: red.id });
 */
export async function setCurrentTeam(input: CurrentTeam & SharedOptions): Promise<Membership> {
  const given = readOptions<CurrentTeam>('setCurrentTeam', input, own);
  const { userId, teamId } = given;
  const connection = opened(given.connection);
  const [user, organization] = [readUserId(connection, userId), objectId(given.organizationId)];
  if (!user || !organization) throw refuse('not_found');
  return transaction(connection, async (session) => {
    const { _id, role, teams } = await readMembership(connection, { user, organization }, session);
    const where = { connection, session, organization };
    const currentTeam = teamId === null ? null : (await findTeam(where, teamId))._id;
    const among = currentTeam ? { _id, teams: currentTeam } : { _id };
    const chosen = await Memberships(connection).updateOne(among, { $set: { currentTeam } }, { session });
    if (chosen.matchedCount === 0) throw refuse('not_found');
    await changed(connection, session, `user:${user}`);
    return { role, teamIds: teams.map(String), currentTeamId: currentTeam && String(currentTeam) };
  });
}
