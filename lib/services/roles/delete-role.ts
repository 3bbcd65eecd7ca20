import Joi from 'joi';
import { originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { actOnRole, type JudgedOnRole, type RoleAct } from './act-on-role.js';
import { actorFields } from './actor.js';
import { isHeld } from './is-held.js';
import { noteRole } from './note-role.js';

export type DeleteRole = RoleAct;

const own = {
  organizationId: Joi.string(),
  name: Joi.string().required(),
  ...actorFields,
  ...originFields,
};

/**
 * Deletes a role that nobody has, however many assign it at the same time.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when the actor lacks `organization.roles.manage`, or for a global role `admin.roles.manage`; `not_found`
 *   (404); `conflict` (409) when somebody has it, or it is the role of administrators, of new users, or one that every organization has;
 *   `overloaded`, `database_unavailable` (503)
 * @example await deleteRole({ organizationId: acme.id, name: 'editor' });
 */
export async function deleteRole(input: DeleteRole & SharedOptions): Promise<void> {
  const given = readOptions<DeleteRole>('deleteRole', input, own);
  const { name, actor, roleNames, ip, userAgent, requestId } = given;
  const judge = async ({ organization }: JudgedOnRole) => {
    if (!organization && (name === roleNames.admin || name === roleNames.user))
      throw refuse('conflict', { detail: 'The roles of administrators and of new users stay' });
  };
  await actOnRole(given, judge, async ({ connection, session, key }) => {
    const { deletedCount } = await Roles(connection).deleteOne({ ...key }, { session });
    if (deletedCount === 0) throw refuse('not_found');
    if (await isHeld(connection, session, key))
      throw refuse('conflict', { detail: 'Somebody has this role: give them another first' });
    const entry = { action: 'role.deleted', actor, ip, userAgent, requestId } as const;
    await noteRole(connection, session, key, entry);
  });
}
