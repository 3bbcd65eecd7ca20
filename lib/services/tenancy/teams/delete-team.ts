import Joi from 'joi';
import { Deletions } from '../../../models/deletion.js';
import { Organizations } from '../../../models/organization.js';
import { changed } from '../../../models/revocation.js';
import { Teams } from '../../../models/team.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { clearDeletedSoon } from '../clear-deleted.js';
import { findTeam } from '../find-team.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { requireRights } from '../require-rights.js';

export interface DeleteTeam extends Act {
  teamId: string;
}

const own = { ...actFields, teamId: Joi.string().required() };

/**
 * Deletes a team: at once nobody acts in it any more. It is taken from its members, and its plan and usage are deleted, right after; what a big
 * team has left after a second, or a crash, `cleanUp()` ends.
 *
 * @throws {TollgateError} `not_found` (404), also for another organization's; `permission_missing` (403) when `actor` lacks
 *   `organization.teams.manage`; `overloaded`, `database_unavailable` (503)
 * @example await deleteTeam({ organizationId: acme.id, teamId: red.id });
 */
export async function deleteTeam(input: DeleteTeam & SharedOptions): Promise<void> {
  const given = readOptions<DeleteTeam>('deleteTeam', input, own);
  const connection = await inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    await requireRights(acting, ['organization.teams.manage']);
    const { _id: team, name } = await findTeam(acting, given.teamId);
    await Teams(connection).deleteOne({ _id: team }, { session });
    const byDefault = { _id: organization, defaultTeam: team };
    await Organizations(connection).updateOne(byDefault, { $set: { defaultTeam: null } }, { session });
    await Deletions(connection).insertMany([{ organization, team, at: new Date() }], { session });
    await changed(connection, session, `team:${team}`, `organization:${organization}`);
    await acting.record('organization.team.deleted', { type: 'team', id: String(team) }, { name });
    return connection;
  });
  await clearDeletedSoon(connection);
}
