import { refuse } from '../../errors.js';
import type { RoleKey } from '../../models/role.js';
import { objectId } from '../../runtime/ids.js';
import { isBuiltIn } from './built-in-roles.js';

/**
 * Which role is to be changed: of an organization, or without one a global role.
 *
 * @throws {TollgateError} `not_found` (404) for a malformed id, `conflict` (409) for a role that every organization has
 */
export function roleKey({
  organizationId,
  name,
}: {
  readonly organizationId?: string | undefined;
  readonly name: string;
}): RoleKey {
  const organization = objectId(organizationId);
  if (organizationId !== undefined && !organization) throw refuse('not_found');
  if (organization && isBuiltIn(name))
    throw refuse('conflict', {
      detail: 'Every organization has this role; it cannot be made, changed or deleted',
    });
  return { organization, name };
}
