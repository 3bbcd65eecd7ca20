import Joi from 'joi';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { notifyByMail } from '../../mail/enqueue-mail.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { guess } from './guessing-budget.js';
import { newPassword, refuseOwnAddress } from './new-password.js';
import { hashPassword, verifyPassword } from './password.js';

export interface PasswordChange extends Origin {
  userId: string;
  /** The session that asks, which stays. Without it all end. */
  sessionId?: string | undefined;
  currentPassword: string;
  /** 8–256 characters, none of the most common. */
  newPassword: string;
}

/** Who is signed in is no stranger. */
const known = { knownDevice: true };

const own = {
  userId: Joi.string().required(),
  sessionId: Joi.string(),
  currentPassword: Joi.string().max(256).required(),
  newPassword: newPassword.required(),
  ...originFields,
};

/**
 * Changes a password by the current one. The other sessions end.
 *
 * @throws {TollgateError} `credentials_invalid` (401), `session_revoked` (401) when the session that asks has ended, `rate_limited`
 *   (429), `overloaded` (503), `database_unavailable` (503)
 * @example await changePassword({ userId: user.id, sessionId: session.id, currentPassword, newPassword, keys });
 */
export async function changePassword(input: PasswordChange & SharedOptions): Promise<void> {
  const given = readOptions<PasswordChange>('changePassword', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const { ip, userAgent, requestId } = given;
  const user = await database(() => Users(connection).findById(readUserId(connection, given.userId)).lean());
  if (!user) throw refuse('credentials_invalid');
  refuseOwnAddress(given.newPassword, user.email, 'newPassword');
  const by = { ...given, connection, route: 'password', account: user.email };
  await guess({ ...by, failure: 'password.change-failed' }, async () => {
    const genuine = await verifyPassword(given.currentPassword, user.password, given, known);
    if (!genuine) throw refuse('credentials_invalid');
  });
  const password = await hashPassword(given.newPassword, given, known);
  await transaction(connection, async (session) => {
    const changedUser = await changeCredentials(connection, session, {
      filter: { _id: user._id, 'password.hash': user.password?.hash },
      update: { $set: { password } },
      keep: objectId(given.sessionId) ?? undefined,
      ip,
      userAgent,
      requestId,
    });
    if (!changedUser) throw refuse('credentials_invalid'); // somebody else has changed it meanwhile
    await notifyByMail(connection, session, { kind: 'password-changed', to: user.email }, given);
    const target = { type: 'user', id: String(user._id) };
    const entry = { action: 'password.changed', actor: target.id, target, ip, userAgent, requestId };
    await recordAudit({ connection, session, ...entry });
  });
}
