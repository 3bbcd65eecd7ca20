import Joi from 'joi';
import { refuse } from '../../errors.js';
import { notifyCredential } from '../../mail/notify-credential.js';
import { Sessions } from '../../models/session.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import type { Key } from '../../runtime/keyring.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { isOpenable, open } from '../../runtime/sealing.js';
import { transaction } from '../../runtime/transaction.js';
import { guess } from '../identity/guessing-budget.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { type Asker, askerFields } from './asker.js';
import { auditFactor } from './audit-factor.js';
import { hashOfRecoveryCode, newRecoveryCodes } from './recovery-codes.js';
import { timeStepOf, totpPurpose } from './totp.js';
import { type UserNow, userNow } from './user-now.js';

export interface ConfirmTotp extends Asker {
  /** Six digits, from the app that was given the secret. */
  readonly code: string;
}

/**
 * Makes the secret of `enrolTotp()` the user's second factor, by a code that proves an app has it. From now on every sign-in
 * asks for one, except by a passkey. The session that asks goes on, with the factor `totp`; the user's others end.
 *
 * @returns ten recovery codes, each good for one sign-in in place of a code. Only hashes are kept: show them now.
 * @throws {TollgateError} `credentials_invalid` (401) for a wrong code; `conflict` (409) when nothing waits to be confirmed;
 *   `session_revoked` (401) when the session has ended; `rate_limited` (429); `database_unavailable` (503)
 * @example const recoveryCodes = await confirmTotp({ ...shared, userId: user.id, sessionId: session.id, code });
 */
export async function confirmTotp(input: ConfirmTotp & SharedOptions): Promise<readonly string[]> {
  const own = { ...signingKeys(), ...askerFields, code: Joi.string().required() };
  const given = readOptions<ConfirmTotp>('confirmTotp', input, own);
  const connection = opened(given.connection);
  const keep = objectId(given.sessionId);
  const found = await userNow(connection, given.userId);
  const { totp } = found?.user ?? {};
  if (!found || !keep || !totp || totp.confirmedAt || !isOpenable(given.keyring, totp))
    throw refuse('conflict', { detail: 'Send POST /auth/totp first' });
  const { _id, email } = found.user;
  const recoveryCodes = newRecoveryCodes();
  const filter = { _id, 'totp.secret': totp.secret, 'totp.confirmedAt': null };
  const by = { ...given, connection, route: 'totp', account: email, failure: 'factor.totp-refused' };
  await guess(by, async () => {
    const lastStep = stepOfOffered(found, given.code, given.keyring);
    if (lastStep === null) throw refuse('credentials_invalid');
    const proved = { 'totp.lastStep': lastStep, 'totp.recoveryCodes': recoveryCodes.map(hashOfRecoveryCode) };
    const update = { $set: proved, $currentDate: { 'totp.confirmedAt': true as const } };
    const { ip, userAgent, requestId } = given;
    await transaction(connection, async (session) => {
      const change = { filter, update, keep, ip, userAgent, requestId };
      const user = await changeCredentials(connection, session, change);
      if (!user) throw refuse('conflict', { detail: 'There is a newer secret, or it is confirmed already' });
      await Sessions(connection).prove({ _id: keep, user: _id }, user.credentialEpoch, 'totp', session);
      await auditFactor(connection, session, given, { action: 'factor.totp-enrolled' });
      const notice = { to: user.email, change: 'added', credential: 'an authenticator app' } as const;
      await notifyCredential(connection, session, notice, given);
    });
  });
  return Object.freeze(recoveryCodes);
}

function stepOfOffered({ user, now }: UserNow, code: string, keyring: readonly Key[]): number | null {
  const { keyId = '', secret: sealed = '' } = user.totp ?? {};
  const secret = open(keyring, totpPurpose(user._id), { keyId, sealed });
  return timeStepOf({ secret, code: code.replaceAll(/\s/g, ''), now, after: 0 });
}
