import Joi from 'joi';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { isHeld } from './is-held.js';
import { noteRole } from './note-role.js';
import { roleKey } from './role-key.js';

export interface DeleteRole extends Origin {
  /** Whose role; without it the role is a global one. */
  organizationId?: string | undefined;
  name: string;
  /** The id of the user who does it, for the audit log. Default: the application. */
  actor?: string | undefined;
}

const own = {
  organizationId: Joi.string(),
  name: Joi.string().required(),
  actor: Joi.string(),
  ...originFields,
};

/**
 * Deletes a role that nobody has, however many assign it at the same time.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404); `conflict` (409) when somebody has it, or it is the role of administrators, of new users, or one that every
 *   organization has; `database_unavailable` (503)
 * @example await deleteRole({ organizationId: acme.id, name: 'editor' });
 */
export async function deleteRole(input: DeleteRole & SharedOptions): Promise<void> {
  const given = readOptions<DeleteRole>('deleteRole', input, own);
  const { name, actor, roleNames, ip, userAgent, requestId } = given;
  const connection = opened(given.connection);
  const key = roleKey(given);
  if (!key.organization && (name === roleNames.admin || name === roleNames.user))
    throw refuse('conflict', { detail: 'The roles of administrators and of new users stay' });
  await transaction(connection, async (session) => {
    const { deletedCount } = await Roles(connection).deleteOne({ ...key }, { session });
    if (deletedCount === 0) throw refuse('not_found');
    if (await isHeld(connection, session, key))
      throw refuse('conflict', { detail: 'Somebody has this role: give them another first' });
    const entry = { action: 'role.deleted', actor, ip, userAgent, requestId } as const;
    await noteRole(connection, session, key, entry);
  });
}
