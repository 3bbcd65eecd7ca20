import Joi from 'joi';
import type { ClientSession, Connection } from 'mongoose';
import { recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { changed } from '../../models/revocation.js';
import { Sessions } from '../../models/session.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  signingKeys,
} from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { type Asker, askerFields } from '../factors/asker.js';
import { spendSecondFactor } from '../factors/spend-second-factor.js';
import { type UserNow, userNow } from '../factors/user-now.js';
import { guess } from './guessing-budget.js';
import { verifyPassword } from './password.js';
import { redeemOtp } from './verify-otp.js';

export interface Reauthentication extends Asker {
  /** This or `code`. */
  readonly password?: string | undefined;
  /** Six digits of an authenticator app, or a recovery code; for who has no app the six digits of `sendOtp()`. */
  readonly code?: string | undefined;
}

type Given = Reauthentication & ReadSharedOptions & { readonly connection: Connection };

/** Also the name of the budget: the codes of an app have one, whatever they are guessed for. */
type Way = 'password' | 'totp' | 'otp';

const own = { ...askerFields, password: Joi.string(), code: Joi.string() };

/**
 * Notes that the user of a session has just proved to be there: the sign-in counts as recent again, and the session gains the
 * factor `password`, `totp`, `recovery` or `otp`.
 *
 * @throws {TollgateError} `credentials_invalid` (401) when that is wrong or was used, or changes just now; `session_revoked`
 *   (401); `rate_limited` (429); `overloaded` (503), `database_unavailable` (503)
 * @example await reauthenticate({ ...shared, userId: user.id, sessionId: session.id, password });
 */
export async function reauthenticate(input: Reauthentication & SharedOptions): Promise<void> {
  const read = readOptions<Reauthentication>('reauthenticate', input, { ...signingKeys(), ...own });
  const given = { ...read, connection: opened(read.connection) };
  if ((given.password === undefined) === (given.code === undefined))
    throw new TypeError('reauthenticate(): give a password or a code');
  const found = await userNow(given.connection, given.userId);
  if (!found) throw refuse('session_revoked');
  const how = wayOf(given, found);
  const by = { ...given, route: how, account: found.user.email, failure: 'user.reauthentication-failed' };
  await guess(by, async () => {
    await judge(how, given, found);
    await transaction(given.connection, (session) => prove(session, how, given, found));
  });
}

/** Who has an authenticator app proves it by that, others by a code that was mailed to them. */
const wayOf = ({ password }: Given, { user: { totp } }: UserNow): Way => {
  if (password !== undefined) return 'password';
  return totp?.confirmedAt ? 'totp' : 'otp';
};

/** A code of an app waits for the transaction, which uses it up. */
async function judge(how: Way, given: Given, { user }: UserNow): Promise<void> {
  const { connection, keyring, password = '', code = '' } = given;
  const genuine = {
    password: () => verifyPassword(password, user.password, given, { knownDevice: true }),
    otp: () => redeemOtp(connection, { email: user.email, code, keyring }),
    totp: () => true,
  };
  if (!(await genuine[how]())) throw refuse('credentials_invalid');
}

/** The session's filter holds the epoch that was read with the credential: a change at the same time wins. */
async function prove(session: ClientSession, how: Way, given: Given, found: UserNow): Promise<void> {
  const { connection, userId, sessionId, code = '', keyring, ip, userAgent, requestId } = given;
  const origin = { ip, userAgent, requestId };
  const use = { found, code, keyring, ...origin };
  const factor = how === 'totp' ? await spendSecondFactor(connection, session, use) : how;
  const { _id: user, credentialEpoch = 0 } = found.user;
  const _id = objectId(sessionId);
  const proved = _id && (await Sessions(connection).prove({ _id, user }, credentialEpoch, factor, session));
  if (!proved?.matchedCount) throw refuse('session_revoked');
  await changed(connection, session, `session:${sessionId}`);
  const target = { type: 'session', id: sessionId };
  const action = 'user.reauthenticated';
  await recordAudit({ connection, session, action, actor: userId, target, details: { factor }, ...origin });
}
