import Joi from 'joi';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { clearGuesses } from '../identity/guessing-budget.js';
import { findUser } from './find-user.js';

export interface UnlockUser extends Origin {
  userId: string;
  /** The id of the user who does it, for the audit log. Default: the application. */
  actor?: string | undefined;
}

const own = { userId: Joi.string().required(), actor: Joi.string(), ...originFields };

/**
 * Forgets the wrong guesses at a user's account, from wherever they came, so that its owner need not wait. What an address has spent stays spent.
 *
 * @throws {TypeError} when an argument is wrong, or `keys` are not given: the budgets are named by the first of them
 * @throws {TollgateError} `not_found` (404), `database_unavailable` (503)
 * @example await unlockUser({ keys, userId: user.id });
 */
export async function unlockUser(input: UnlockUser & SharedOptions): Promise<void> {
  const given = readOptions<UnlockUser>('unlockUser', input, { ...signingKeys(), ...own });
  const { userId, actor, ip, userAgent, requestId } = given;
  const connection = opened(given.connection);
  const { email } = await findUser(connection, userId);
  const target = { type: 'user', id: userId };
  await recordAudit({ connection, action: 'user.unlocked', actor, target, ip, userAgent, requestId }); // first: it leaves a trace whatever comes
  await clearGuesses({ ...given, connection, route: 'unlock', account: email });
}
