import type { Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { ApiKeys } from '../../models/api-key.js';
import { changed } from '../../models/revocation.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transaction } from '../../runtime/transaction.js';

export interface DeleteApiKey extends Origin {
  /** The id of the user for whom the key acts. */
  readonly userId: string;
  readonly apiKeyId: string;
  /** The id of who asks, for the audit log. Default: the user. */
  readonly actor?: string | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Deletes an API key: it is refused from now on, at once in this process and in strict mode, within a moment in the others.
 * What was known of it stays in the list, with `deletedAt`.
 *
 * @throws {TollgateError} `not_found` (404) when it is unknown, another user's, malformed or deleted already;
 *   `database_unavailable` (503)
 * @example await deleteApiKey({ userId: user.id, apiKeyId: apiKey.id });
 */
export async function deleteApiKey({
  userId,
  apiKeyId,
  actor = userId,
  ...rest
}: DeleteApiKey): Promise<void> {
  const { ip, userAgent, requestId } = rest;
  const connection = opened(rest.connection);
  const [user, id] = [readUserId(connection, userId), objectId(apiKeyId)];
  if (!user || !id) throw refuse('not_found');
  await transaction(connection, async (session) => {
    const removed = await ApiKeys(connection).remove(id, user, session);
    if (!removed) throw refuse('not_found');
    await changed(connection, session, `api-key:${id}`);
    const { name, prefix, organization } = removed;
    await recordAudit({
      connection,
      session,
      action: 'api-key.deleted',
      actor,
      target: { type: 'api-key', id: String(id) },
      ...(organization && { organization }),
      details: { name, prefix },
      ip,
      userAgent,
      requestId,
    });
  });
}
