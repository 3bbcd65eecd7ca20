import Joi from 'joi';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { enqueueMail, needMail } from '../../mail/enqueue-mail.js';
import { OneTimeTokens } from '../../models/one-time-token.js';
import { changed } from '../../models/revocation.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { database, isDuplicate } from '../../runtime/database.js';
import { readLinkToken } from '../../runtime/one-time-codes.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { emailSchema } from './canonical-email.js';
import { guess, spend } from './guessing-budget.js';

export interface EmailChange extends Origin {
  userId: string;
  /** The new address. */
  email: string;
}

export interface EmailConfirmation extends Origin {
  /** As the link has it. */
  token: string;
}

const day = 86_400;

/**
 * Mails a link to the new address, and a notice to the old one. The address changes when the link is opened (`confirmEmail`). Whether the new one belongs to
 * somebody else is not told to who asks, but to its owner.
 *
 * @throws {TollgateError} `not_found` (404), `rate_limited` (429), `database_unavailable` (503)
 * @example await changeEmail({ userId: user.id, email, keys });
 */
export async function changeEmail(input: EmailChange & SharedOptions): Promise<void> {
  const own = { userId: Joi.string().required(), email: emailSchema.required(), ...originFields };
  const given = readOptions<EmailChange>('changeEmail', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  needMail('changeEmail', given);
  const { email } = given;
  const user = await database(() => Users(connection).findById(readUserId(connection, given.userId)).lean());
  if (!user) throw refuse('not_found');
  await spend({ ...given, connection, route: 'mail', account: email });
  const { _id, credentialEpoch = 0 } = user;
  const token = {
    purpose: 'email-change',
    email,
    user: _id,
    credentialEpoch,
    data: { from: user.email },
    ttl: day,
  } as const;
  await transaction(connection, async (session) => {
    const id = await OneTimeTokens(connection).issue(token, session);
    await enqueueMail(connection, session, { kind: 'confirm-email', to: email, token: id });
    await enqueueMail(connection, session, {
      kind: 'email-changing',
      to: user.email,
      data: { newEmail: email },
    });
  });
}

/**
 * Changes the address to the one that the link was sent to. Links and codes that were sent to the old one die; the sessions live on.
 *
 * @throws {TollgateError} `token_used` (400), also when credentials or address have changed since; `email_taken` (409), `rate_limited` (429),
 *   `database_unavailable` (503)
 * @example await confirmEmail({ token, keys });
 */
export async function confirmEmail(input: EmailConfirmation & SharedOptions): Promise<void> {
  const own = { token: Joi.string().required(), ...originFields };
  const given = readOptions<EmailConfirmation>('confirmEmail', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const { ip, userAgent, requestId } = given;
  const confirm = () =>
    transaction(connection, async (session) => {
      const id = readLinkToken('email-change', given.token, given.keyring);
      const token = id && (await OneTimeTokens(connection).redeem(id, 'email-change', session));
      if (!token?.user) throw refuse('token_used');
      const { from } = token.data as { from: string };
      const epochs = token.credentialEpoch ? [token.credentialEpoch] : [0, null];
      const judged = {
        _id: token.user,
        email: from,
        credentialEpoch: { $in: epochs },
        status: { $ne: 'inactive' as const },
      };
      const update = { $set: { email: token.email as string, emailVerified: true } };
      const { modifiedCount } = await Users(connection).updateOne(judged, update, { session });
      if (modifiedCount === 0) throw refuse('token_used');
      await changed(connection, session, `user:${token.user}`);
      const target = { type: 'user', id: String(token.user) };
      const entry = { action: 'email.changed', actor: target.id, target, ip, userAgent, requestId };
      await recordAudit({ connection, session, ...entry });
    });
  await guess({ ...given, connection, route: 'token' }, confirm).catch((error: unknown) => {
    throw isDuplicate(error, 'email') ? refuse('email_taken') : error;
  });
}
