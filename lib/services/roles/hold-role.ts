import type { ClientSession, Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { builtInPermissions, extensionOf, isBuiltIn } from './built-in-roles.js';

export interface RoleChoice {
  readonly organization: Types.ObjectId;
  readonly name: string;
}

/**
 * Makes sure of a role that is being given to a member or to somebody invited, in the transaction of `session`: it exists, and whoever deletes it at
 * the same time conflicts with this transaction and then sees the holder.
 *
 * @returns the permissions that the role holds, for `refuseUnheld()`
 * @throws {TollgateError} `validation_failed` (400, path `role`) when the organization has no such role
 */
export async function holdRole(
  connection: Connection,
  session: ClientSession,
  { organization, name }: RoleChoice,
): Promise<readonly string[]> {
  if (isBuiltIn(name)) return holdBuiltIn(connection, session, name);
  const role = await Roles(connection).hold({ organization, name }, session);
  if (role) return role.permissions;
  throw refuse('validation_failed', {
    errors: [{ path: 'role', message: 'must be a role of the organization' }],
  });
}

/** Nobody can delete it; the application may add to it. */
async function holdBuiltIn(
  connection: Connection,
  session: ClientSession,
  name: string,
): Promise<readonly string[]> {
  const added = { organization: null, name: extensionOf(name) };
  const extension = await Roles(connection).findOne(added, { permissions: 1 }, { session }).lean();
  return [...builtInPermissions(name), ...(extension?.permissions ?? [])];
}
