import Joi from 'joi';
import { refuse } from '../../errors.js';
import { notifyCredential } from '../../mail/notify-credential.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { type Asker, askerFields } from './asker.js';
import { auditFactor } from './audit-factor.js';

export interface RemovePasskey extends Asker {
  readonly passkeyId: string;
}

/** What a user can sign in by when this passkey is gone. */
const another = [
  { password: { $ne: null } },
  { 'identities.0': { $exists: true } },
  { 'passkeys.1': { $exists: true } },
];

/**
 * Removes a passkey of a user. The session that asks goes on; the user's others end, for one may have begun by this passkey.
 *
 * @throws {TollgateError} `last_credential` (409) when the user has no other passkey, no password and no linked identity;
 *   `not_found` (404); `session_revoked` (401); `database_unavailable` (503)
 * @example await removePasskey({ userId: user.id, sessionId: session.id, passkeyId });
 */
export async function removePasskey(input: RemovePasskey & SharedOptions): Promise<void> {
  const own = { ...askerFields, passkeyId: Joi.string().required() };
  const given = readOptions<RemovePasskey>('removePasskey', input, own);
  const connection = opened(given.connection);
  const [_id, keep] = [readUserId(connection, given.userId), objectId(given.sessionId)];
  if (!_id || !keep) throw refuse('not_found');
  const { passkeyId: id, ip, userAgent, requestId } = given;
  const theirs = { _id, 'passkeys.id': id };
  await transaction(connection, async (session) => {
    const user = await changeCredentials(connection, session, {
      filter: { ...theirs, $or: another },
      update: { $pull: { passkeys: { id } } },
      keep,
      ip,
      userAgent,
      requestId,
    });
    if (!user) {
      const exists = await Users(connection).exists(theirs).session(session);
      throw refuse(exists ? 'last_credential' : 'not_found');
    }
    await auditFactor(connection, session, given, { action: 'factor.passkey-removed', passkey: id });
    const notice = { to: user.email, change: 'removed', credential: 'a passkey' } as const;
    await notifyCredential(connection, session, notice, given);
  });
}
