import Joi from 'joi';
import type { ClientSession, Connection } from 'mongoose';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { type MailOptions, notifyByMail } from '../../mail/enqueue-mail.js';
import { liveToken, OneTimeTokens } from '../../models/one-time-token.js';
import { Users } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { readLinkToken } from '../../runtime/one-time-codes.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import type { FoundUser } from '../sessions/start-session.js';
import { clearGuesses, guess, hashingClientOf } from './guessing-budget.js';
import { newPassword, refuseOwnAddress } from './new-password.js';
import { hashPassword, type PasswordHash } from './password.js';
import { proveAddress } from './prove-address.js';

export interface ResetToken extends Origin {
  /** As the link has it. */
  token: string;
}

export interface PasswordReset extends ResetToken {
  /** 8–256 characters, none of the most common. */
  password: string;
}

const ofToken = { token: Joi.string().required(), ...originFields };

/**
 * Says whether a reset link is still good, and leaves it so.
 *
 * @throws {TollgateError} `token_used` (400), `rate_limited` (429), `database_unavailable` (503)
 * @example await checkResetToken({ token, keys });
 */
export async function checkResetToken(input: ResetToken & SharedOptions): Promise<void> {
  const given = readOptions<ResetToken>('checkResetToken', input, { ...signingKeys(), ...ofToken });
  const connection = opened(given.connection);
  await guess({ ...given, connection, route: 'token' }, () =>
    database(() => userOf(connection, given.token, given.keyring)),
  );
}

/**
 * Sets a new password by a reset link, or the first one. All sessions end; the guessing budgets of the account are cleared; an address that nobody had
 * proved is proved by it, and what stood on the account before goes.
 *
 * @throws {TollgateError} `token_used` (400), `validation_failed` (400), `rate_limited` (429), `overloaded` (503),
 *   `database_unavailable` (503)
 * @example await resetPassword({ token, password, keys });
 */
export async function resetPassword(input: PasswordReset & SharedOptions): Promise<void> {
  const own = { ...signingKeys(), ...ofToken, password: newPassword.required() };
  const given = readOptions<PasswordReset>('resetPassword', input, own);
  const connection = opened(given.connection);
  const by = { ...given, connection, route: 'token' };
  const email = await guess(by, async () => {
    const known = await database(() => userOf(connection, given.token, given.keyring));
    refuseOwnAddress(given.password, known.email);
    const password = await hashPassword(given.password, given, hashingClientOf(given));
    await transaction(connection, async (session) => {
      const user = await userOf(connection, given.token, given.keyring, session);
      await set(connection, session, user, password, given);
    });
    return known.email;
  });
  await clearGuesses({ ...by, account: email });
}

/** The user whom a reset link was sent to, as long as neither credentials nor address have changed; within a transaction the link is redeemed. */
async function userOf(
  connection: Connection,
  text: string,
  keyring: Parameters<typeof readLinkToken>[2],
  session?: ClientSession,
): Promise<FoundUser> {
  const id = readLinkToken('password-reset', text, keyring);
  if (!id) throw refuse('token_used');
  const tokens = OneTimeTokens(connection);
  const live = { _id: id, purpose: 'password-reset', ...liveToken } as const;
  const token = session
    ? await tokens.redeem(id, 'password-reset', session)
    : await tokens.findOne(live).lean();
  if (!token?.user || !token.email) throw refuse('token_used');
  const filter = { _id: token.user, email: token.email, status: { $ne: 'inactive' as const } };
  const user = await Users(connection)
    .findOne(filter, null, session ? { session } : {})
    .lean();
  if (!user || (user.credentialEpoch ?? 0) !== token.credentialEpoch) throw refuse('token_used');
  return user;
}

async function set(
  connection: Connection,
  session: ClientSession,
  user: FoundUser,
  password: PasswordHash,
  given: Origin & MailOptions,
): Promise<void> {
  const { ip, userAgent, requestId } = given;
  const origin = { ip, userAgent, requestId };
  const { _id, email } = user;
  if (!user.emailVerified) await proveAddress(connection, session, { user, password, ...origin });
  else {
    const filter = { _id, email, credentialEpoch: user.credentialEpoch };
    const update = { $set: { password } };
    if (!(await changeCredentials(connection, session, { filter, update, ...origin })))
      throw refuse('token_used');
  }
  await notifyByMail(connection, session, { kind: 'password-changed', to: email }, given);
  const target = { type: 'user', id: String(_id) };
  await recordAudit({ connection, session, action: 'password.reset', actor: target.id, target, ...origin });
}
