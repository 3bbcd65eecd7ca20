import { isDeepStrictEqual } from 'node:util';
import Joi from 'joi';
import type { ClientSession, Connection, Types } from 'mongoose';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Organizations } from '../../models/organization.js';
import { type RoleKey, Roles } from '../../models/role.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { type RoleNames, readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { permits } from '../tenancy/permits.js';
import { asRole, type Role } from './as-role.js';
import { type ManagementRules, managementRules, readManagement, refuseUnheldRules } from './management.js';
import { noteRole } from './note-role.js';
import { refuseUnheld } from './refuse-unheld.js';
import { readRights } from './rights-of.js';
import { permissionCodes, roleName } from './role-fields.js';
import { roleKey } from './role-key.js';

export interface SaveRole extends Origin {
  /** Whose role; without it the role is a global one. */
  organizationId?: string | undefined;
  name: string;
  /** Replaces those that the role has. Default: none for a new role, unchanged for another. */
  permissions?: readonly string[] | undefined;
  /** To users of which roles its holders may do what, of a global role; null: the default rules. Default: as for `permissions`. */
  managementRules?: Partial<ManagementRules> | null | undefined;
  /** `create` refuses a role that is there, `change` one that is not. Default: either. */
  only?: 'create' | 'change' | undefined;
  /** The id of the user who does it: they grant nothing that they lack. Default: the application, which may grant anything. */
  actor?: string | undefined;
  /** Of the API key by which the actor asks: it grants nothing beyond them either. Default: none, no restriction. */
  scopes?: readonly string[] | undefined;
}

const own = {
  organizationId: Joi.string(),
  name: roleName.required(),
  permissions: permissionCodes,
  managementRules: managementRules
    .allow(null)
    .when('organizationId', { is: Joi.forbidden(), otherwise: Joi.forbidden() }),
  only: Joi.valid('create', 'change'),
  actor: Joi.string(),
  scopes: Joi.array().items(Joi.string()),
  ...originFields,
};

type Given = SaveRole & {
  readonly managementRules?: ManagementRules | null | undefined;
  readonly roleNames: RoleNames;
};

/**
 * Makes a role, or changes one: a global one, or one of an organization. It counts on the next request in this process and in strict mode, within a
 * moment in others. The caller decides who may; that nobody grants permissions or management rules beyond their own is seen to here.
 *
 * A global role of the name `organization.owner`, `organization.admin` or `organization.member` adds its permissions to that role of every organization.
 *
 * @returns the role as it is then, and whether it is new
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403, extra `requiredPermission`) when the actor, or their API key, lacks what they grant; `not_found`
 *   (404) for an unknown organization, or with `only: 'change'` for an unknown role; `conflict` (409) for a role that every organization has, with
 *   `only: 'create'` for one that is there, and when administrators would lose `admin.*`; `database_unavailable` (503)
 * @example await saveRole({ name: 'support', permissions: ['tickets.*'] });
 */
export async function saveRole(input: SaveRole & SharedOptions): Promise<{ role: Role; created: boolean }> {
  const given = readOptions<Given>('saveRole', input, own);
  const connection = opened(given.connection);
  const key = roleKey(given);
  return transaction(connection, async (session) => {
    await requireOrganization(connection, session, key.organization);
    const before = await Roles(connection).findOne(key, null, { session }).lean();
    if (before ? given.only === 'create' : given.only === 'change')
      throw refuse(before ? 'conflict' : 'not_found');
    const old = before ? asRole(before) : undefined;
    await judge(connection, session, { ...given, ...key }, old);
    if (old && isAs(old, given)) return { role: old, created: false };
    const role = await store(connection, session, key, given);
    const { actor, ip, userAgent, requestId } = given;
    const action = before ? 'role.updated' : 'role.created';
    await noteRole(connection, session, key, { action, actor, role, ip, userAgent, requestId });
    return { role, created: !before };
  });
}

async function requireOrganization(
  connection: Connection,
  session: ClientSession,
  _id: Types.ObjectId | null,
): Promise<void> {
  if (_id && !(await Organizations(connection).exists({ _id }).session(session))) throw refuse('not_found');
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
  connection: Connection,
  session: ClientSession,
  key: RoleKey,
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

/** Refuses what goes beyond the actor; what a role has already was granted by somebody else. */
async function judge(
  connection: Connection,
  session: ClientSession,
  { organization, name, permissions, managementRules, actor, scopes = [], roleNames }: Given & RoleKey,
  old: Role | undefined,
): Promise<void> {
  if (!organization && name === roleNames.admin) refuseWeakened(permissions ?? old?.permissions ?? []);
  if (actor === undefined) return;
  const user = readUserId(connection, actor);
  const rights = user && (await readRights(connection, { user, organization }, session));
  const held = organization ? rights?.organization : rights?.global;
  const granted = (permissions ?? []).filter((code) => !permits(old?.permissions ?? [], code));
  refuseUnheld(held ?? [], granted);
  if (scopes.length > 0) refuseUnheld(scopes, granted);
  if (!managementRules) return;
  const mine = await readManagement(connection, session, { roles: rights?.roles ?? [], roleNames });
  refuseUnheldRules(mine, managementRules);
}

/** Nobody could give it back: nobody grants what they lack. */
function refuseWeakened(permissions: readonly string[]): void {
  if (permits(permissions, 'admin.*')) return;
  throw refuse('conflict', { detail: 'Administrators keep admin.*: nobody else could give it back to them' });
}
