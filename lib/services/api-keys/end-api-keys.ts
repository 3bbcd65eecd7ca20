import type { ClientSession, Connection, Types } from 'mongoose';
import { type Origin, recordAll } from '../../audit/record-audit.js';
import { ApiKeys, liveApiKey } from '../../models/api-key.js';

export interface EndedApiKeys extends Origin {
  /** Only keys that are for it: those whose they are, are no members of it any more. Default: whatever they are for. */
  readonly organization?: Types.ObjectId | undefined;
  readonly users: readonly Types.ObjectId[];
  /** The id of who does what ends them; null: the application. */
  readonly actor: string | null;
}

/** Keys that one call deletes: more than one user can have. */
const most = 500;

/**
 * Deletes live API keys of users, in the transaction of `session`, with an audit entry for each. Users whose credentials change in the same
 * transaction get no more of them meanwhile; nor those for an organization users whose memberships in it end there, or were noted
 * (`Memberships.noteApiKeys()`).
 *
 * @returns how many there were: with 500 there may be more
 */
export async function endApiKeys(
  connection: Connection,
  session: ClientSession,
  { organization, users, ...by }: EndedApiKeys,
): Promise<number> {
  const theirs = { user: { $in: [...users] }, ...(organization && { organization }), ...liveApiKey };
  const keys = await ApiKeys(connection)
    .find(theirs, { name: 1, prefix: 1, organization: 1 }, { session })
    .limit(most)
    .hint({ user: 1, _id: 1 })
    .lean();
  if (keys.length === 0) return 0;
  const ids = keys.map(({ _id }) => _id);
  await ApiKeys(connection).removeThese(ids, session);
  const entries = keys.map(({ _id, name, prefix, organization: where }) => ({
    ...by,
    ...(where && { organization: where }),
    action: 'api-key.deleted',
    target: { type: 'api-key', id: String(_id) },
    details: { name, prefix },
  }));
  await recordAll({ connection, session }, entries);
  return keys.length;
}
