import Joi from 'joi';
import type { Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transaction } from '../../runtime/transaction.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { giveUpOwnership, keepAnAdmin } from '../tenancy/give-up-ownership.js';

export interface DeactivateUser extends Origin {
  readonly userId: string;
  /** The id of who does it, for the audit log. Default: the user. */
  readonly actor?: string | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Deactivates a user: all sessions end, and no credential of theirs is accepted any more. What belongs to them stays.
 *
 * @throws {TollgateError} `not_found` (404) also when they are inactive already; `last_owner` (409, extra `organizationId`) of an organization,
 *   `last_admin` (409); `database_unavailable` (503)
 * @example await deactivateUser({ userId: user.id });
 */
export async function deactivateUser({ userId, actor = userId, ...rest }: DeactivateUser): Promise<void> {
  Joi.assert(userId, Joi.string().required(), 'deactivateUser(): userId');
  const connection = opened(rest.connection);
  const { ip, userAgent, requestId } = rest;
  const _id = objectId(userId);
  if (!_id) throw refuse('not_found');
  await transaction(connection, async (session) => {
    const filter = { _id, status: { $ne: 'inactive' } };
    const update = { $set: { status: 'inactive' as const } };
    const user = await changeCredentials(connection, session, { filter, update, ip, userAgent, requestId });
    if (!user) throw refuse('not_found');
    await giveUpOwnership(connection, session, _id);
    await keepAnAdmin(connection, session, user);
    const target = { type: 'user', id: userId };
    const entry = { action: 'user.deactivated', actor, target, ip, userAgent, requestId };
    await recordAudit({ connection, session, ...entry });
  });
}
