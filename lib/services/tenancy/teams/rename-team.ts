import Joi from 'joi';
import { changed } from '../../../models/revocation.js';
import { Teams } from '../../../models/team.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import type { Team } from '../as-organization.js';
import { findTeam } from '../find-team.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { shownName } from '../names.js';
import { requireRights } from '../require-rights.js';
import { asTaken } from './create-team.js';

export interface TeamRename extends Act {
  teamId: string;
  /** Unique in its organization. */
  name: string;
}

const own = { ...actFields, teamId: Joi.string().required(), name: shownName.required() };

/**
 * Gives a team another name.
 *
 * @throws {TollgateError} `conflict` (409) when there is one of that name; `not_found` (404), also for another organization's;
 *   `permission_missing` (403) when `actor` lacks `organization.teams.manage`; `overloaded`, `database_unavailable` (503)
 * @example await renameTeam({ organizationId: acme.id, teamId: red.id, name: 'crimson' });
 */
export async function renameTeam(input: TeamRename & SharedOptions): Promise<Team> {
  const given = readOptions<TeamRename>('renameTeam', input, own);
  const { name } = given;
  return inOrganization(given, async (acting) => {
    const { connection, session } = acting;
    await requireRights(acting, ['organization.teams.manage']);
    const { _id, name: previous } = await findTeam(acting, given.teamId);
    const id = String(_id);
    await Teams(connection).updateOne({ _id }, { $set: { name } }, { session });
    await changed(connection, session, `team:${id}`);
    await acting.record('organization.team.renamed', { type: 'team', id }, { from: previous, to: name });
    return Object.freeze({ id, name });
  }).catch((error: unknown) => {
    throw asTaken(error);
  });
}
