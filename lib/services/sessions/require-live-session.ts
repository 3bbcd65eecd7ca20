import type { ClientSession, Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { liveSession, Sessions } from '../../models/session.js';
import { objectId } from '../../runtime/ids.js';

/**
 * The epoch of credentials by which a user's session lives, read in the transaction of `session`: it may have ended since the request
 * was let in. Who writes next to the user on condition of that epoch conflicts with whatever changes it.
 *
 * @throws {TollgateError} `session_revoked` (401) when the session is another user's, has ended or expired
 */
export async function requireLiveSession(
  connection: Connection,
  session: ClientSession,
  { user, sessionId }: { readonly user: Types.ObjectId; readonly sessionId: string },
): Promise<number> {
  const here = { _id: objectId(sessionId), user, ...liveSession };
  const live = await Sessions(connection).findOne(here, { credentialEpoch: 1 }, { session }).lean();
  if (!live) throw refuse('session_revoked');
  return live.credentialEpoch;
}
