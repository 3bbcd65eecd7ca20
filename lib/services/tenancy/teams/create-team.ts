import { refuse } from '../../../errors.js';
import { Teams } from '../../../models/team.js';
import { isDuplicate } from '../../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import type { Team } from '../as-organization.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { shownName } from '../names.js';
import { requireRights } from '../require-rights.js';

export interface NewTeam extends Act {
  /** Unique in its organization. */
  name: string;
}

const own = { ...actFields, name: shownName.required() };

/** The refusal where the unique index on the names of an organization's teams says so. */
export const asTaken = (error: unknown): unknown =>
  isDuplicate(error, 'name') ? refuse('conflict', { detail: 'There is a team of that name' }) : error;

/**
 * Makes a team, with nobody in it.
 *
 * @throws {TollgateError} `conflict` (409) when there is one of that name; `not_found` (404) for an unknown organization; `permission_missing`
 *   (403) when `actor` lacks `organization.teams.manage`; `overloaded`, `database_unavailable` (503)
 * @example const team = await createTeam({ organizationId: acme.id, name: 'red' });
 */
export async function createTeam(input: NewTeam & SharedOptions): Promise<Team> {
  const given = readOptions<NewTeam>('createTeam', input, own);
  const { name } = given;
  return inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    await requireRights(acting, ['organization.teams.manage']);
    const { id } = await Teams(connection).insertOne({ organization, name }, { session });
    await acting.record('organization.team.created', { type: 'team', id }, { name });
    return Object.freeze({ id, name });
  }).catch((error: unknown) => {
    throw asTaken(error);
  });
}
