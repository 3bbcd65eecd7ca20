import { refuse } from '../../errors.js';
import { notifyCredential } from '../../mail/notify-credential.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { type Asker, askerFields } from './asker.js';
import { auditFactor } from './audit-factor.js';

/**
 * Removes a user's TOTP with its recovery codes. The session that asks goes on; the user's others end.
 *
 * @throws {TollgateError} `not_found` (404) when there is no confirmed one; `session_revoked` (401); `database_unavailable` (503)
 * @example await removeTotp({ userId: user.id, sessionId: session.id });
 */
export async function removeTotp(input: Asker & SharedOptions): Promise<void> {
  const given = readOptions<Asker>('removeTotp', input, askerFields);
  const connection = opened(given.connection);
  const [_id, keep] = [readUserId(connection, given.userId), objectId(given.sessionId)];
  if (!_id || !keep) throw refuse('not_found');
  const { ip, userAgent, requestId } = given;
  await transaction(connection, async (session) => {
    const user = await changeCredentials(connection, session, {
      filter: { _id, 'totp.confirmedAt': { $ne: null } },
      update: { $set: { totp: null } },
      keep,
      ip,
      userAgent,
      requestId,
    });
    if (!user) throw refuse('not_found');
    await auditFactor(connection, session, given, { action: 'factor.totp-removed' });
    const notice = { to: user.email, change: 'removed', credential: 'an authenticator app' } as const;
    await notifyCredential(connection, session, notice, given);
  });
}
