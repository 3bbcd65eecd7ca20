import Joi from 'joi';
import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { readUserId } from '../../models/user-id.js';
import type { RoleNames } from '../../runtime/options.js';
import { inScope } from '../tenancy/permits.js';
import type { Authority } from '../tenancy/require-rights.js';
import { readRights } from './rights-of.js';

const actions = ['create', 'update', 'delete'] as const;

/** What may be done to users: `delete` deactivates them. */
export type ManagementAction = (typeof actions)[number];

/** Users of which roles: their names, or `'*'` for any. */
export type ManagedRoles = '*' | readonly string[];

/** To users of which roles those with a role may do what. */
export type ManagementRules = Readonly<Record<ManagementAction, ManagedRoles>>;

const managedRoles = Joi.alternatives(
  Joi.valid('*'),
  Joi.array().items(Joi.string().max(64)).max(100),
).default([]);

/** An action that is left out is for nobody. */
export const managementRules = Joi.object<ManagementRules>({
  create: managedRoles,
  update: managedRoles,
  delete: managedRoles,
});

/** What an API key with scopes needs wherever management rules decide. */
export const managementScope = 'admin.users.manage';

const everything: ManagementRules = { create: '*', update: '*', delete: '*' };

/** What somebody may do to users, by all of their roles together. */
export type Management = readonly ManagementRules[];

/** The rules that count for a role: its own where it has any, else all of it for administrators, and nothing for any other. */
export const rulesOf = (
  { name, managementRules }: { readonly name: string; readonly managementRules?: unknown },
  { admin }: Pick<RoleNames, 'admin'>,
): Management => {
  const own = managementRules as ManagementRules | null | undefined;
  return own ? [own] : name === admin ? [everything] : [];
};

/** The rules of `roles`, as the database has them in the transaction of `session`. */
export async function readManagement(
  connection: Connection,
  session: ClientSession | null,
  { roles, roleNames }: { readonly roles: readonly string[]; readonly roleNames: RoleNames },
): Promise<Management> {
  const global = { organization: null, name: { $in: [...roles] } };
  const found = await Roles(connection).find(global, { name: 1, managementRules: 1 }, { session }).lean();
  const stored = new Map(found.map((role) => [role.name, role]));
  return roles.flatMap((name) => rulesOf(stored.get(name) ?? { name }, roleNames));
}

/** The rules of whoever acts. */
export async function managementOf(
  { connection, session, actor }: Pick<Authority, 'connection' | 'session' | 'actor'>,
  roleNames: RoleNames,
): Promise<Management> {
  const user = readUserId(connection, actor);
  if (!user) return [];
  const { roles } = await readRights(connection, { user, organization: null }, session);
  return readManagement(connection, session, { roles, roleNames });
}

const mayAll = (rules: Management, action: ManagementAction): boolean =>
  rules.some((each) => each[action] === '*');

const may = (rules: Management, action: ManagementAction, role: string): boolean =>
  mayAll(rules, action) || rules.some((each) => each[action].includes(role));

/**
 * Refuses what the rules do not allow to be done to a user of all of `targets`; users without any role count as those of the default one.
 *
 * @throws {TollgateError} `permission_missing` (403, extra `requiredPermission`, such as `users.update:editor`)
 */
export function refuseUnmanaged(
  rules: Management,
  action: ManagementAction,
  targets: readonly string[],
  { user }: Pick<RoleNames, 'user'>,
): void {
  const names = targets.length === 0 ? [user] : targets;
  const beyond = names.find((name) => !may(rules, action, name));
  if (beyond !== undefined) throw unmanaged(action, beyond);
}

/**
 * Refuses an API key that has scopes, but not the one for what management rules decide: it neither does that, nor gives it to anybody.
 *
 * @throws {TollgateError} `permission_missing` (403, extra `requiredPermission`)
 */
export function refuseUnscoped({ scopes = [] }: Pick<Authority, 'scopes'>): void {
  if (!inScope(scopes, managementScope))
    throw refuse('permission_missing', { requiredPermission: managementScope });
}

/**
 * Refuses that whoever acts gives a role, or a user, rules that allow more than their own: nobody gives what they lack. What is allowed `already` may stay.
 *
 * @throws {TollgateError} `permission_missing` (403, extra `requiredPermission`)
 */
export async function requireRules(
  authority: Authority,
  roleNames: RoleNames,
  wanted: Management,
  already: Management = [],
): Promise<void> {
  if (authority.actor === undefined || !beyond(already, wanted)) return;
  refuseUnscoped(authority);
  const lacking = beyond([...already, ...(await managementOf(authority, roleNames))], wanted);
  if (lacking) throw unmanaged(...lacking);
}

/** The first thing that `wanted` allows and `rules` do not. */
function beyond(
  rules: Management,
  wanted: Management,
): readonly [action: ManagementAction, role: string] | undefined {
  for (const action of actions) {
    if (mayAll(rules, action)) continue;
    if (mayAll(wanted, action)) return [action, '*'];
    const role = wanted.flatMap((each) => each[action]).find((name) => !may(rules, action, name));
    if (role !== undefined) return [action, role];
  }
  return undefined;
}

const unmanaged = (action: ManagementAction, role: string) =>
  refuse('permission_missing', {
    detail: `The management rules of your roles do not let you ${action} users of the role ${role}`,
    requiredPermission: `users.${action}:${role}`,
  });
