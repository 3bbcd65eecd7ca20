import Joi from 'joi';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { clearGuesses } from '../identity/guessing-budget.js';
import { type Actor, actorFields } from '../roles/actor.js';
import { requireRights } from '../tenancy/require-rights.js';
import { findUser } from './find-user.js';

export interface UnlockUser extends Actor, Origin {
  userId: string;
}

const own = { userId: Joi.string().required(), ...actorFields, ...originFields };

/**
 * Forgets the wrong guesses at a user's account, from wherever they came, so that its owner need not wait. What an address has spent stays spent.
 *
 * @throws {TypeError} when an argument is wrong, or `keys` are not given: the budgets are named by the first of them
 * @throws {TollgateError} `permission_missing` (403) when `actor` lacks `admin.users.manage`; `not_found` (404), `database_unavailable` (503)
 * @example await unlockUser({ keys, userId: user.id });
 */
export async function unlockUser(input: UnlockUser & SharedOptions): Promise<void> {
  const given = readOptions<UnlockUser>('unlockUser', input, { ...signingKeys(), ...own });
  const { userId, actor, scopes, ip, userAgent, requestId } = given;
  const connection = opened(given.connection);
  const authority = { connection, session: null, organization: null, actor, scopes };
  await database(() => requireRights(authority, ['admin.users.manage']));
  const { email } = await findUser(connection, userId);
  await clearGuesses({ ...given, connection, route: 'unlock', account: email });
  const target = { type: 'user', id: userId };
  await recordAudit({ connection, action: 'user.unlocked', actor, target, ip, userAgent, requestId });
}
