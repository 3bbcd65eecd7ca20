import type { Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { type StoredTeam, Teams } from '../../models/team.js';
import { objectId } from '../../runtime/ids.js';
import type { Acting } from './in-organization.js';

/**
 * A team of the organization, as the transaction sees it.
 *
 * @throws {TollgateError} `not_found` (404), also for a malformed id and for another organization's
 */
export async function findTeam(
  { connection, session, organization }: Pick<Acting, 'connection' | 'session' | 'organization'>,
  teamId: string,
): Promise<StoredTeam & { readonly _id: Types.ObjectId }> {
  const _id = objectId(teamId);
  const found = _id && (await Teams(connection).findOne({ _id, organization }, null, { session }).lean());
  if (!found) throw refuse('not_found');
  return found;
}
