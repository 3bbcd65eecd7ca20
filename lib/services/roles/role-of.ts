import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { database } from '../../runtime/database.js';
import { asRole, type Role } from './as-role.js';

/**
 * A global role by its name.
 *
 * @throws {TollgateError} `not_found` (404), `database_unavailable` (503)
 */
export async function roleOf(connection: Connection, name: string): Promise<Role> {
  const found = await database(() => Roles(connection).findOne({ organization: null, name }).lean());
  if (!found) throw refuse('not_found');
  return asRole(found);
}
