import Joi from 'joi';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { enqueueMail, needMail } from '../../mail/enqueue-mail.js';
import { liveToken, OneTimeTokens } from '../../models/one-time-token.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { readLinkToken } from '../../runtime/one-time-codes.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { emailSchema } from './canonical-email.js';
import { spend } from './guessing-budget.js';

export interface SendVerification extends Origin {
  email: string;
  /** What `signUp` gave the browser: its own sign-up is preferred to a later one by somebody else. */
  binding?: string | undefined;
  /** The cookie of known devices. */
  device?: string | undefined;
}

/** Sign-ups of one address that are looked through for the browser's own. */
const mostPending = 20;

/**
 * Mails the verification link once more: that of this browser's sign-up, else of the latest, or a new one for a user whose address is not proved. For any other address
 * nothing is sent, and nobody can tell.
 *
 * @throws {TollgateError} `rate_limited` (429), `database_unavailable` (503)
 * @example await sendVerification({ email, keys });
 */
export async function sendVerification(input: SendVerification & SharedOptions): Promise<void> {
  const optional = { binding: Joi.string(), device: Joi.string() };
  const own = { ...signingKeys(), email: emailSchema.required(), ...optional, ...originFields };
  const given = readOptions<SendVerification>('sendVerification', input, own);
  const connection = opened(given.connection);
  needMail('sendVerification', given);
  const { email } = given;
  await spend({ ...given, connection, route: 'mail', account: email });
  const bound = readLinkToken('sign-up binding', given.binding ?? '', given.keyring);
  const pending = await database(() =>
    OneTimeTokens(connection)
      .find({ email, purpose: 'sign-up', ...liveToken }, { _id: 1 })
      .sort({ createdAt: -1 })
      .limit(mostPending)
      .lean(),
  );
  const token = pending.find(({ _id }) => String(_id) === String(bound)) ?? pending[0];
  await transaction(connection, (session) =>
    enqueueMail(connection, session, {
      kind: 'verify-email',
      to: email,
      ...(token && { token: token._id }),
    }),
  );
}
