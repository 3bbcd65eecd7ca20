import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { credentialPaths, Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { database } from '../../runtime/database.js';
import type { User } from '../../runtime/user.js';
import { asUser } from '../identity/as-user.js';
import type { FoundUser } from '../sessions/start-session.js';

const hidden = Object.fromEntries(credentialPaths.map((path) => [path, 0]));

/**
 * A user by id.
 *
 * @throws {TollgateError} `not_found` (404), `database_unavailable` (503)
 */
export async function findUser(connection: Connection, userId: string): Promise<User> {
  const _id = readUserId(connection, userId);
  const users = Users(connection);
  const found = _id && (await database(() => users.findOne({ _id }, hidden).lean<FoundUser>()));
  if (!found) throw refuse('not_found');
  return asUser(found, users);
}
