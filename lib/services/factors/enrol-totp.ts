import Joi from 'joi';
import { generateSecret, generateURI } from 'otplib';
import { refuse } from '../../errors.js';
import { Users } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { seal } from '../../runtime/sealing.js';
import { totpPurpose } from './totp.js';
import { userNow } from './user-now.js';

export interface EnrolTotp {
  readonly userId: string;
}

/** What an authenticator app needs: `uri` for a QR code, `secret` (base32) to be typed. */
export interface TotpEnrolment {
  readonly secret: string;
  readonly uri: string;
}

/**
 * Makes a TOTP secret (RFC 6238) for a user, which counts for nothing until `confirmTotp()` proves that an app has it. It
 * replaces one that was never confirmed. Stored it is encrypted; it cannot be shown again.
 *
 * @throws {TollgateError} `conflict` (409) when the user has a confirmed one: remove that first; `not_found` (404);
 *   `database_unavailable` (503)
 * @example const { uri } = await enrolTotp({ ...shared, userId: user.id });
 */
export async function enrolTotp(input: EnrolTotp & SharedOptions): Promise<TotpEnrolment> {
  const own = { ...signingKeys(), userId: Joi.string().required() };
  const given = readOptions<EnrolTotp>('enrolTotp', input, own);
  const connection = opened(given.connection);
  const { user } = (await userNow(connection, given.userId)) ?? {};
  if (!user) throw refuse('not_found');
  const secret = generateSecret();
  const { keyId, sealed } = seal(given.keyring, totpPurpose(user._id), secret);
  const offered = await database(() => Users(connection).offerTotp(user._id, { keyId, secret: sealed }));
  if (offered.matchedCount === 0) throw refuse('conflict', { detail: 'There is a confirmed TOTP already' });
  return Object.freeze({ secret, uri: generateURI({ issuer: given.appName, label: user.email, secret }) });
}
