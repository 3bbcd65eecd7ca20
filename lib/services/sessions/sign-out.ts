import type { Connection } from 'mongoose';
import type { Origin } from '../../audit/record-audit.js';
import { liveSession, Sessions } from '../../models/session.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transaction } from '../../runtime/transaction.js';
import { end } from './revoke-sessions.js';

export interface SignOut extends Origin {
  readonly sessionId: string;
  /** Ends all of the user's sessions that began by the same credentials or earlier ones. Default false. */
  readonly everywhere?: boolean | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Ends a session, or with `everywhere` all sessions of its user. Its access tokens are refused from now on: at once in
 * this process and in strict mode, within a moment in the others. A session that is unknown or has ended is no error.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 * @example await signOut({ sessionId: ctx.state.session.id });
 */
export async function signOut({ sessionId, everywhere = false, ...rest }: SignOut): Promise<void> {
  const connection = opened(rest.connection);
  const id = objectId(sessionId);
  if (!id) return;
  await transaction(connection, async (session) => {
    const here = { _id: id, ...liveSession };
    const found = everywhere ? await Sessions(connection).findOne(here, null, { session }).lean() : null;
    const which = found
      ? { user: found.user, credentialEpoch: { $lte: found.credentialEpoch } }
      : { _id: id };
    await end(connection, session, which, { ...rest, action: 'user.signed-out' });
  });
}
