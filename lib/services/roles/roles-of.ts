import Joi from 'joi';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { rightsOf } from './rights-of.js';

export interface RolesOf {
  userId: string;
  /** Where; without it only the user's global roles count. */
  organizationId?: string | undefined;
}

export interface HeldRoles {
  /** The names of the user's global roles. */
  readonly roles: readonly string[];
  /** The name of their role in the organization; null when none was named, or they are not a member. */
  readonly organizationRole: string | null;
  /** The codes that all of them hold together, sorted; `images.*` stands for every code below `images.`. */
  readonly permissions: readonly string[];
}

const own = { userId: Joi.string().required(), organizationId: Joi.string() };

/**
 * The roles of a user, and what they hold; none for a user who is unknown or deactivated.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { permissions } = await rolesOf({ userId: user.id, organizationId: acme.id });
 */
export async function rolesOf(input: RolesOf & SharedOptions): Promise<HeldRoles> {
  const given = readOptions<RolesOf>('rolesOf', input, own);
  const { userId, organizationId, strict } = given;
  const held = await rightsOf(opened(given.connection), { userId, organizationId, strict });
  const permissions = [...new Set([...held.global, ...held.organization])].sort();
  return { roles: held.roles, organizationRole: held.organizationRole, permissions };
}
