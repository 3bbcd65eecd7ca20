import Joi from 'joi';
import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import type { RoleNames } from '../../runtime/options.js';

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

const everything: ManagementRules = { create: '*', update: '*', delete: '*' };

/** What somebody may do to users, by all of their roles together. */
export type Management = readonly ManagementRules[];

/**
 * The rules of `roles`, as the database has them in the transaction of `session`: each role's own where it has any, else all of it for administrators, and nothing for any other.
 */
export async function readManagement(
  connection: Connection,
  session: ClientSession | null,
  { roles, roleNames }: { readonly roles: readonly string[]; readonly roleNames: RoleNames },
): Promise<Management> {
  const global = { organization: null, name: { $in: [...roles] } };
  const found = await Roles(connection).find(global, { name: 1, managementRules: 1 }, { session }).lean();
  const stored = new Map(found.map(({ name, managementRules }) => [name, managementRules]));
  return roles.flatMap((name) => {
    const own = stored.get(name) as ManagementRules | null | undefined;
    return own ?? (name === roleNames.admin ? everything : []);
  });
}

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
  const mayAll = rules.some((each) => each[action] === '*');
  const names = targets.length === 0 ? [user] : targets;
  const beyond = names.find((name) => !mayAll && !rules.some((each) => each[action].includes(name)));
  if (beyond !== undefined) throw unmanaged(action, beyond);
}

/**
 * Refuses that somebody gives a role rules that allow more than their own: nobody gives what they lack.
 *
 * @throws {TollgateError} `permission_missing` (403)
 */
export function refuseUnheldRules(rules: Management, wanted: ManagementRules): void {
  for (const action of actions) {
    const targets = wanted[action];
    if (rules.some((each) => each[action] === '*')) continue;
    if (targets === '*') throw unmanaged(action, targets);
    const beyond = targets.find((name) => !rules.some((each) => each[action].includes(name)));
    if (beyond !== undefined) throw unmanaged(action, beyond);
  }
}

const unmanaged = (action: ManagementAction, role: string) =>
  refuse('permission_missing', {
    detail: `The management rules of your roles do not let you ${action} users of the role ${role}`,
    requiredPermission: `users.${action}:${role}`,
  });
