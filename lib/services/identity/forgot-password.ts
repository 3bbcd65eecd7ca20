import Joi from 'joi';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { enqueueMail, needMail } from '../../mail/enqueue-mail.js';
import { OneTimeTokens, type TokenPurpose } from '../../models/one-time-token.js';
import { opened } from '../../runtime/connection.js';
import type { MailKind } from '../../runtime/mail.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { emailSchema } from './canonical-email.js';
import { spend } from './guessing-budget.js';

export interface MailToAccount extends Origin {
  email: string;
  /** The cookie of known devices: strangers cannot use up the mails of who has signed in there. */
  device?: string | undefined;
}

/**
 * Mails a link by which the owner of an account can choose a new password: good for an hour, once, and only while the credentials and the address
 * are what they were when it was sent. For an address without an account nothing is sent, and nobody can tell.
 *
 * @throws {TollgateError} `rate_limited` (429), `database_unavailable` (503)
 * @example await forgotPassword({ email, keys });
 */
export const forgotPassword = (input: MailToAccount & SharedOptions): Promise<void> =>
  mailToAccount('forgotPassword', input, { purpose: 'password-reset', kind: 'reset-password', ttl: 3_600 });

/**
 * Mails a code of six digits that signs in: good for 15 minutes, once. For an address without an account nothing is sent, and nobody can tell.
 *
 * @throws {TollgateError} `rate_limited` (429), `database_unavailable` (503)
 * @example await sendOtp({ email, keys });
 */
export const sendOtp = (input: MailToAccount & SharedOptions): Promise<void> =>
  mailToAccount('sendOtp', input, { purpose: 'otp', kind: 'otp', ttl: 900 });

/** Whether there is an account is only asked when the mail goes out, so the request does the same for every address. */
async function mailToAccount(
  name: string,
  input: MailToAccount & SharedOptions,
  { purpose, kind, ttl }: { purpose: TokenPurpose; kind: MailKind; ttl: number },
): Promise<void> {
  const own = { ...signingKeys(), email: emailSchema.required(), device: Joi.string(), ...originFields };
  const given = readOptions<MailToAccount>(name, input, own);
  const connection = opened(given.connection);
  needMail(name, given);
  const { email } = given;
  await spend({ ...given, connection, route: `mail ${kind}`, account: email });
  await transaction(connection, async (session) => {
    const token = await OneTimeTokens(connection).issue({ purpose, email, ttl }, session);
    await enqueueMail(connection, session, { kind, to: email, token });
  });
}
