import { isDeepStrictEqual } from 'node:util';
import Joi from 'joi';
import { originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { type RoleNames, readOptions, type SharedOptions } from '../../runtime/options.js';
import { permits } from '../tenancy/permits.js';
import { requireRights } from '../tenancy/require-rights.js';
import { type ActingOnRole, actOnRole, type JudgedOnRole, type RoleAct } from './act-on-role.js';
import { actorFields } from './actor.js';
import { asRole, type Role } from './as-role.js';
import { type ManagementRules, managementRules, requireRules, rulesOf } from './management.js';
import { noteRole } from './note-role.js';
import { permissionCodes, roleName } from './role-fields.js';

export interface SaveRole extends RoleAct {
  /** Replaces those that the role has. Default: none for a new role, unchanged for another. */
  permissions?: readonly string[] | undefined;
  /** To users of which roles its holders may do what, of a global role; null: the default rules. Default: as for `permissions`. */
  managementRules?: Partial<ManagementRules> | null | undefined;
  /** `create` refuses a role that is there, `change` one that is not. Default: either. */
  only?: 'create' | 'change' | undefined;
}

const own = {
  organizationId: Joi.string(),
  name: roleName.required(),
  permissions: permissionCodes,
  managementRules: managementRules
    .allow(null)
    .when('organizationId', { is: Joi.forbidden(), otherwise: Joi.forbidden() }),
  only: Joi.valid('create', 'change'),
  ...actorFields,
  ...originFields,
};

type Given = SaveRole & {
  readonly managementRules?: ManagementRules | null | undefined;
  readonly roleNames: RoleNames;
};

/**
 * Makes a role, or changes one: a global one, or one of an organization. It counts on the next request in this process and in strict mode, within a
 * moment in others. An actor must be allowed to manage the roles there, and gives neither permissions nor management rules beyond their own; those that the role
 * has already may stay.
 *
 * A global role of the name `organization.owner`, `organization.admin` or `organization.member` adds its permissions to that role of every organization.
 *
 * @returns the role as it is then, and whether it is new
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403, extra `requiredPermission`) when the actor, or their API key, lacks `organization.roles.manage`, for a
 *   global role `admin.roles.manage`, or what they grant; `not_found` (404) for an unknown organization, or with `only: 'change'` for an unknown role;
 *   `conflict` (409) for a role that every organization has, with `only: 'create'` for one that is there, and when administrators would lose
 *   `admin.*`; `overloaded`, `database_unavailable` (503)
 * @example await saveRole({ name: 'support', permissions: ['tickets.*'] });
 */
export async function saveRole(input: SaveRole & SharedOptions): Promise<{ role: Role; created: boolean }> {
  const given = readOptions<Given>('saveRole', input, own);
  const before = (asked: JudgedOnRole) => roleBefore(asked, given);
  return actOnRole(given, before, async (acting, old) => {
    const { connection, session, key } = acting;
    if (old && isAs(old, given)) return { role: old, created: false };
    const role = await store(acting, given);
    const { actor, ip, userAgent, requestId } = given;
    const action = old ? 'role.updated' : 'role.created';
    await noteRole(connection, session, key, { action, actor, role, ip, userAgent, requestId });
    return { role, created: !old };
  });
}

/** The role as it is, where it may become what is wanted. */
async function roleBefore(asked: JudgedOnRole, given: Given): Promise<Role | undefined> {
  const { connection, session, key } = asked;
  const before = await Roles(connection).findOne(key, null, { session }).lean();
  if (before ? given.only === 'create' : given.only === 'change')
    throw refuse(before ? 'conflict' : 'not_found');
  const old = before ? asRole(before) : undefined;
  await judge(asked, given, old);
  return old;
}

/** Whether a role is what is wanted already, as it is when an application says its roles at every start. */
function isAs(old: Role, { permissions, managementRules }: Given): boolean {
  const wanted = {
    ...old,
    ...(permissions && { permissions: [...new Set(permissions)] }),
    ...(managementRules !== undefined && { managementRules }),
  };
  return isDeepStrictEqual(wanted, { ...old });
}

async function store(
  { connection, session, key }: ActingOnRole,
  { permissions, managementRules }: Given,
): Promise<Role> {
  const $set = {
    ...(permissions && { permissions: [...new Set(permissions)] }),
    ...(managementRules !== undefined && { managementRules }),
  };
  const options = { session, upsert: true, returnDocument: 'after' } as const;
  return asRole(
    await Roles(connection)
      .findOneAndUpdate({ ...key }, { $set }, options)
      .orFail()
      .lean(),
  );
}

/** Refuses what goes beyond whoever acts; what a role has already was granted by somebody else. */
async function judge(
  asked: JudgedOnRole,
  { name, permissions, managementRules, roleNames }: Given,
  old: Role = { name, permissions: [], managementRules: null },
): Promise<void> {
  const { organization } = asked;
  if (!organization && name === roleNames.admin) refuseWeakened(permissions ?? old.permissions);
  const granted = permissions?.filter((code) => !permits(old.permissions, code));
  await requireRights(asked, [], granted);
  if (organization || managementRules === undefined) return;
  const wanted = rulesOf({ name, managementRules }, roleNames); // none stored may be more than some
  await requireRules(asked, roleNames, wanted, rulesOf(old, roleNames));
}

/** Nobody could give it back: nobody grants what they lack. */
function refuseWeakened(permissions: readonly string[]): void {
  if (permits(permissions, 'admin.*')) return;
  throw refuse('conflict', { detail: 'Administrators keep admin.*: nobody else could give it back to them' });
}
