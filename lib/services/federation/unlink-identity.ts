import type { Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import type { MailOptions } from '../../mail/enqueue-mail.js';
import { notifyCredential } from '../../mail/notify-credential.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transaction } from '../../runtime/transaction.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { elsewhere } from './link-identity.js';

export interface UnlinkIdentity extends Origin, MailOptions {
  readonly userId: string;
  /** The name of the provider. */
  readonly provider: string;
  /** A session that stays, such as the one that asks; all others end. */
  readonly keep?: string | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Takes an account elsewhere away from the ways by which a user can sign in, and ends their other sessions.
 *
 * @throws {TollgateError} `not_found` (404) when the user has linked none of this provider, `last_credential` (409) when there
 *   would be no password, no other identity and no passkey left, `session_revoked` (401) when `keep` has ended
 * @example await unlinkIdentity({ ...shared, userId: user.id, provider: 'google', keep: session.id });
 */
export async function unlinkIdentity({ userId, provider, keep, ...rest }: UnlinkIdentity): Promise<void> {
  const connection = opened(rest.connection);
  const { ip, userAgent, requestId } = rest;
  const _id = readUserId(connection, userId);
  if (!_id) throw refuse('not_found');
  const linked = { _id, 'identities.provider': provider };
  const another = [
    { 'password.hash': { $exists: true } },
    { 'passkeys.0': { $exists: true } },
    { identities: { $elemMatch: { provider: { $ne: provider } } } }, // of this provider there may be two, and both go
  ];
  await transaction(connection, async (session) => {
    const user = await changeCredentials(connection, session, {
      filter: { ...linked, $or: another },
      update: { $pull: { identities: { provider } } },
      keep: objectId(keep) ?? undefined,
      ip,
      userAgent,
      requestId,
    });
    if (!user) {
      const present = await Users(connection).exists(linked).session(session);
      throw refuse(present ? 'last_credential' : 'not_found');
    }
    const target = { type: 'user', id: userId };
    const act = { connection, session, actor: userId, target, ip, userAgent, requestId };
    await recordAudit({ ...act, action: 'identity.unlinked', details: { provider } });
    const notice = { to: user.email, change: 'removed', credential: elsewhere(provider) } as const;
    await notifyCredential(connection, session, notice, rest);
  });
}
