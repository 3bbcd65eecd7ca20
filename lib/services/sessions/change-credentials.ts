import type { ClientSession, Connection, Types, UpdateQuery } from 'mongoose';
import type { Origin } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { changed } from '../../models/revocation.js';
import { Sessions } from '../../models/session.js';
import { type StoredUser, Users } from '../../models/user.js';
import { end } from './revoke-sessions.js';

export interface CredentialChange extends Origin {
  /** Which user, and what must still be true of them: the rule that the change is judged by. */
  readonly filter: { readonly _id: Types.ObjectId; readonly [condition: string]: unknown };
  readonly update: UpdateQuery<StoredUser>;
  /** The session that stays: the one that asks, which must still live. Without it all of the user's sessions end. */
  readonly keep?: Types.ObjectId | undefined;
  /** What the audit log calls the end of the others. */
  readonly action?: string | undefined;
}

/**
 * Changes a credential in one conditional write that begins a new epoch of the user's credentials, and ends every session
 * that began by the old ones, in the transaction of `session`. Null, and nothing changed, when `filter` finds nobody.
 *
 * @throws {TollgateError} `session_revoked` (401), for the transaction to abort, when `keep` has ended
 */
export async function changeCredentials(
  connection: Connection,
  session: ClientSession,
  { filter, update, keep, action = 'session.revoked', ...origin }: CredentialChange,
): Promise<(StoredUser & { _id: Types.ObjectId }) | null> {
  const $inc = { ...(update.$inc as object | undefined), credentialEpoch: 1 };
  const user = await Users(connection)
    .findOneAndUpdate(filter, { ...update, $inc }, { session, returnDocument: 'after' })
    .lean();
  if (!user) return null;
  const { _id, credentialEpoch } = user;
  if (keep) {
    const own = { _id: keep, user: _id, credentialEpoch: credentialEpoch - 1 };
    const kept = await Sessions(connection).keep(own, credentialEpoch, session);
    if (kept.matchedCount === 0) throw refuse('session_revoked');
    await changed(connection, session, `session:${keep}`);
  }
  await end(connection, session, { user: _id, ...(keep && { _id: { $ne: keep } }) }, { ...origin, action });
  await changed(connection, session, `user:${_id}`);
  return user;
}
