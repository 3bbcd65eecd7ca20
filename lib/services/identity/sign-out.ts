import type { Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { changed } from '../../models/revocation.js';
import { Sessions } from '../../models/session.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transaction } from '../../runtime/transaction.js';

export interface SignOut extends Origin {
  readonly sessionId: string;
  /** Ends all of the user's sessions. Default false. */
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
    const ended = await Sessions(connection).end(id, session);
    if (!ended) return;
    const others = everywhere
      ? await Sessions(connection).endAll(ended.user, ended.credentialEpoch, session)
      : [];
    const [first, ...more] = [sessionId, ...others].map((each) => `session:${each}`) as [string, ...string[]];
    await changed(connection, session, first, ...more);
    const [actor, target] = [String(ended.user), { type: 'session', id: sessionId }];
    const details = { sessions: 1 + others.length };
    await recordAudit({ ...rest, connection, session, action: 'user.signed-out', actor, target, details });
  });
}
