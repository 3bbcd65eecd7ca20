import type { Types } from 'mongoose';
import { refuse } from '../../../errors.js';
import { Teams } from '../../../models/team.js';
import { idText, objectId } from '../../../runtime/ids.js';
import type { Acting } from '../in-organization.js';

/** Of `ids` those of the organization's teams; nobody can delete one of them until the transaction ends. */
export async function holdTeams(
  { connection, session, organization }: Acting,
  ids: readonly Types.ObjectId[],
): Promise<Types.ObjectId[]> {
  if (ids.length === 0) return [];
  const these = { _id: { $in: [...ids] }, organization };
  const found = await Teams(connection).find(these, { _id: 1 }, { session }).lean();
  const held = found.map(({ _id }) => _id);
  if (held.length > 0) await Teams(connection).noteJoin(organization, held, session);
  return held;
}

/**
 * The teams of these ids, each of which must be the organization's.
 *
 * @throws {TollgateError} `not_found` (404), also for a malformed id
 */
export async function requireTeams(acting: Acting, teamIds: readonly string[]): Promise<Types.ObjectId[]> {
  const ids = [...new Set(teamIds.map(idText))].map(objectId);
  const held = await holdTeams(
    acting,
    ids.filter((id) => id !== null),
  );
  if (held.length < ids.length) throw refuse('not_found', { detail: 'There is no such team' });
  return held;
}
