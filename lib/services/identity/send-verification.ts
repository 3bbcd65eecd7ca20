import { type Origin, originFields } from '../../audit/record-audit.js';
import { enqueueMail } from '../../mail/enqueue-mail.js';
import { liveToken, OneTimeTokens } from '../../models/one-time-token.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { emailSchema } from './canonical-email.js';
import { spend } from './guessing-budget.js';

export interface SendVerification extends Origin {
  email: string;
}

/**
 * Mails the verification link once more: that of the latest sign-up, or a new one for a user whose address is not proved. For any other address
 * nothing is sent, and nobody can tell.
 *
 * @throws {TollgateError} `rate_limited` (429), `database_unavailable` (503)
 * @example await sendVerification({ email, keys });
 */
export async function sendVerification(input: SendVerification & SharedOptions): Promise<void> {
  const own = { ...signingKeys(), email: emailSchema.required(), ...originFields };
  const given = readOptions<SendVerification>('sendVerification', input, own);
  const connection = opened(given.connection);
  const { email } = given;
  await spend({ ...given, connection, route: 'mail', account: email });
  const pending = await database(() =>
    OneTimeTokens(connection)
      .findOne({ email, purpose: 'sign-up', ...liveToken }, { _id: 1 })
      .sort({ createdAt: -1 })
      .lean(),
  );
  await transaction(connection, (session) =>
    enqueueMail(connection, session, {
      kind: 'verify-email',
      to: email,
      ...(pending && { token: pending._id }),
    }),
  );
}
