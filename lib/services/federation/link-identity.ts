import type { Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import type { MailOptions } from '../../mail/enqueue-mail.js';
import { notifyCredential } from '../../mail/notify-credential.js';
import { changed } from '../../models/revocation.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { isDuplicate } from '../../runtime/database.js';
import { transaction } from '../../runtime/transaction.js';
import { requireLiveSession } from '../sessions/require-live-session.js';
import type { ProvidedIdentity } from './identity-of.js';

export interface LinkIdentity extends Origin, MailOptions {
  readonly connection: Connection;
  readonly userId: string;
  /** The session in which the user asked for it; it must still live. */
  readonly sessionId: string;
  readonly identity: ProvidedIdentity;
}

/**
 * Lets a user sign in by an account elsewhere from now on: one of each provider. One that they have linked already is no error.
 *
 * @throws {TollgateError} `session_revoked` (401) when the session has ended, `conflict` (409) when the identity is another
 *   user's or the user has another one of this provider
 */
export async function linkIdentity(given: LinkIdentity): Promise<void> {
  const { connection, userId, sessionId, identity, ip, userAgent, requestId } = given;
  const { provider, issuer, subject, email } = identity;
  const user = readUserId(connection, userId);
  if (!user) throw refuse('session_revoked');
  await transaction(connection, async (session) => {
    const epoch = await requireLiveSession(connection, session, { user, sessionId });
    const owner = await Users(connection).link(user, epoch, { provider, issuer, subject, email }, session);
    if (owner) {
      const target = { type: 'user', id: userId };
      const act = { connection, session, actor: userId, target, ip, userAgent, requestId };
      await recordAudit({ ...act, action: 'identity.linked', details: { provider } });
      const notice = { to: owner.email, change: 'added', credential: elsewhere(provider) } as const;
      await notifyCredential(connection, session, notice, given);
      await changed(connection, session, `user:${userId}`);
      return;
    }
    const linked = { _id: user, identities: { $elemMatch: { issuer, subject } } };
    if (!(await Users(connection).exists(linked).session(session))) throw refuse('conflict');
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'identities.issuer') ? refuse('conflict') : error;
  });
}

/** What a mail calls an account at a provider. */
export const elsewhere = (provider: string): string => `an account at ${provider}`;
