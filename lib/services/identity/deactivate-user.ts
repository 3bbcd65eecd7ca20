import Joi from 'joi';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { keepAnAdmin } from '../tenancy/give-up-ownership.js';
import { suspendOwnership } from '../tenancy/suspend-ownership.js';

export interface DeactivateUser extends Origin {
  userId: string;
  /** The id of who does it. Default: the user. */
  actor?: string | undefined;
}

const own = { userId: Joi.string().required(), actor: Joi.string(), ...originFields };

/**
 * Deactivates a user: all sessions end, and no credential of theirs is accepted any more. What belongs to them stays.
 *
 * @throws {TollgateError} `not_found` (404) also when they are inactive already; `last_owner` (409, extra `organizationId`) of an organization, unless
 *   somebody else does it (`actor`) and it has no other member; `last_admin` (409); `database_unavailable` (503)
 * @example await deactivateUser({ userId: user.id });
 */
export async function deactivateUser(input: DeactivateUser & SharedOptions): Promise<void> {
  const given = readOptions<DeactivateUser>('deactivateUser', input, own);
  const connection = opened(given.connection);
  const { userId, actor = userId, roleNames, ip, userAgent, requestId } = given;
  const _id = readUserId(connection, userId);
  if (!_id) throw refuse('not_found');
  await transaction(connection, async (session) => {
    const filter = { _id, status: { $ne: 'inactive' } };
    const update = { $set: { status: 'inactive' as const } };
    const user = await changeCredentials(connection, session, { filter, update, ip, userAgent, requestId });
    if (!user) throw refuse('not_found');
    const by = { actor, ip, userAgent, requestId };
    await suspendOwnership(connection, session, _id, { ...by, alone: actor !== userId });
    await keepAnAdmin(connection, session, user, roleNames);
    const target = { type: 'user', id: userId };
    await recordAudit({ connection, session, ...by, action: 'user.deactivated', target });
  });
}
