import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Teams } from '../../models/team.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import { objectId } from '../../runtime/ids.js';
import type { Strictness } from '../../runtime/snapshot.js';
import type { Team } from './as-organization.js';

const teams = freshCache<Team>(50_000);

/**
 * A team of an organization, remembered until either changes.
 *
 * @throws {TollgateError} `not_found` (404), also when the team is another organization's; `database_unavailable` (503)
 */
export function teamOf(
  connection: Connection,
  { organizationId, teamId, strict }: { organizationId: string; teamId: string; strict: Strictness },
): Team | Promise<Team> {
  const subjects = [`organization:${organizationId}`, `team:${teamId}`];
  const load = async () => {
    const [_id, organization] = [objectId(teamId), objectId(organizationId)];
    const found =
      _id && organization && (await Teams(connection).findOne({ _id, organization }, { name: 1 }).lean());
    if (!found) throw refuse('not_found');
    return Object.freeze({ id: String(found._id), name: found.name });
  };
  return teams(connection).get(`${organizationId} ${teamId}`, subjects, load, strict);
}
