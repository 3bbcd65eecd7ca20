import type { ClientSession, Connection } from 'mongoose';
import type { Origin } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Users } from '../../models/user.js';
import type { Key } from '../../runtime/keyring.js';
import { isOpenable, open, seal } from '../../runtime/sealing.js';
import { auditFactor } from './audit-factor.js';
import { hashOfRecoveryCode } from './recovery-codes.js';
import { isTotp, timeStepOf, totpPurpose } from './totp.js';
import type { UserNow } from './user-now.js';

export interface SecondFactorUse extends Origin {
  readonly found: UserNow;
  /** Six digits, or a recovery code. */
  readonly code: string;
  readonly keyring: readonly Key[];
}

/**
 * Uses up a code of the user's TOTP or a recovery code, in one conditional write of a transaction: of those who present it at
 * once, one succeeds. Gives the factor that it proves.
 *
 * @throws {TollgateError} `credentials_invalid` (401) when it is wrong or was used before, the user has no second factor, or its secret is
 *   sealed with a key that was dropped (`detail` says so; recovery codes need none)
 */
export async function spendSecondFactor(
  connection: Connection,
  session: ClientSession,
  { found, code: typed, keyring, ...origin }: SecondFactorUse,
): Promise<'totp' | 'recovery'> {
  const code = typed.replaceAll(/\s/g, '');
  if (isTotp(code)) {
    await spendTotp(connection, session, found, code, keyring);
    return 'totp';
  }
  const { _id } = found.user;
  const spent = await Users(connection).spendRecoveryCode(_id, hashOfRecoveryCode(code), session);
  if (spent.modifiedCount === 0) throw refuse('credentials_invalid');
  await auditFactor(
    connection,
    session,
    { ...origin, userId: String(_id) },
    { action: 'factor.recovery-used' },
  );
  return 'recovery';
}

async function spendTotp(
  connection: Connection,
  session: ClientSession,
  { user: { _id, totp }, now }: UserNow,
  code: string,
  keyring: readonly Key[],
): Promise<void> {
  if (!totp?.confirmedAt) throw refuse('credentials_invalid');
  if (!isOpenable(keyring, totp))
    throw refuse('credentials_invalid', {
      detail: 'Codes of this app cannot be checked any more: use a recovery code, and set the app up again',
    });
  const purpose = totpPurpose(_id);
  const secret = open(keyring, purpose, { keyId: totp.keyId, sealed: totp.secret });
  const step = timeStepOf({ secret, code, now, after: totp.lastStep });
  if (step === null) throw refuse('credentials_invalid');
  const resealed = totp.keyId === keyring[0]?.kid ? undefined : seal(keyring, purpose, secret);
  const use = {
    secret: totp.secret,
    step,
    resealed: resealed && { keyId: resealed.keyId, secret: resealed.sealed },
  };
  const spent = await Users(connection).spendTotp(_id, use, session);
  if (spent.modifiedCount === 0) throw refuse('credentials_invalid');
}
