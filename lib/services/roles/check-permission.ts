import Joi from 'joi';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { permissionCode } from './permission-code.js';
import { holds, rightsOf } from './rights-of.js';

export interface CheckPermission {
  userId: string;
  /** Where; without it only the user's global roles count. */
  organizationId?: string | undefined;
  /** Such as `images.write`; with a wildcard: whether every code below it is held. */
  permission: string;
}

const own = {
  userId: Joi.string().required(),
  organizationId: Joi.string(),
  permission: permissionCode.required(),
};

/**
 * Whether a user holds a permission: by one of their global roles, or by their role in the organization that is named. Users who are unknown or
 * deactivated hold none, nor does whoever is not a member. Remembered as `requirePermission()` does; with `strict` the database is asked.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `database_unavailable` (503)
 * @example if (await checkPermission({ userId: user.id, organizationId: acme.id, permission: 'projects.write' })) await write();
 */
export async function checkPermission(input: CheckPermission & SharedOptions): Promise<boolean> {
  const given = readOptions<CheckPermission>('checkPermission', input, own);
  const { userId, organizationId, permission, strict } = given;
  return holds(await rightsOf(opened(given.connection), { userId, organizationId, strict }), permission);
}
