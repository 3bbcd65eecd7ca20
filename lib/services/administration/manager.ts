import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import type { RoleNames } from '../../runtime/options.js';
import type { Actor } from '../roles/actor.js';
import { isExtension } from '../roles/built-in-roles.js';
import {
  type ManagementAction,
  type ManagementRules,
  managementOf,
  refuseUnmanaged,
  refuseUnscoped,
  requireRules,
  rulesOf,
} from '../roles/management.js';
import { requireRights } from '../tenancy/require-rights.js';

type By = Readonly<Actor> & { readonly roleNames: RoleNames };

/** An action, and the roles of the user whom it is done to. */
export type Act = readonly [action: ManagementAction, targets: readonly string[]];

/**
 * Refuses what the management rules of whoever acts do not allow, as the transaction of `session`, or without one the database, sees them, and their API key
 * without the scope for it.
 *
 * @throws {TollgateError} `permission_missing` (403)
 */
export async function refuseActs(
  connection: Connection,
  session: ClientSession | null,
  { actor, scopes, roleNames }: By,
  acts: readonly Act[],
): Promise<void> {
  if (actor === undefined) return;
  refuseUnscoped({ scopes });
  const rules = await managementOf({ connection, session, actor }, roleNames);
  for (const [action, targets] of acts) refuseUnmanaged(rules, action, targets, roleNames);
}

/**
 * Makes sure of global roles that a user is about to be given, in the transaction of `session`: whoever acts holds all that they hold, permissions and
 * management rules, and whoever deletes one at the same time conflicts and then sees the holder. A role need not be defined: then it holds nothing.
 * Without a session it only judges.
 *
 * @throws {TollgateError} `permission_missing` (403); `validation_failed` (400, path `roles`) for one that only adds to a role of organizations
 */
export async function holdGlobalRoles(
  connection: Connection,
  session: ClientSession | null,
  { actor, scopes, roleNames }: By,
  names: readonly string[],
): Promise<void> {
  if (names.some(isExtension)) {
    const errors = [
      { path: 'roles', message: 'must not have a role that only adds to one of organizations' },
    ];
    throw refuse('validation_failed', { errors });
  }
  const permissions: string[] = [];
  const rules: ManagementRules[] = [];
  for (const name of names) {
    const key = { organization: null, name };
    const stays = name === roleNames.user || name === roleNames.admin; // cannot be deleted: spares everybody the conflict
    if (stays && actor === undefined) continue;
    const role =
      stays || !session
        ? await Roles(connection).findOne(key, null, { session }).lean()
        : await Roles(connection).hold(key, session);
    permissions.push(...(role?.permissions ?? []));
    rules.push(...rulesOf(role ?? { name }, roleNames));
  }
  if (actor === undefined || names.length === 0) return;
  const authority = { connection, session, organization: null, actor, scopes };
  await requireRights(authority, [], permissions);
  await requireRules(authority, roleNames, rules);
}
