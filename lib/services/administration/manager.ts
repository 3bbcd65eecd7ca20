import Joi from 'joi';
import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Roles } from '../../models/role.js';
import { readUserId } from '../../models/user-id.js';
import type { RoleNames } from '../../runtime/options.js';
import { isExtension } from '../roles/built-in-roles.js';
import { type ManagementAction, readManagement, refuseUnmanaged } from '../roles/management.js';
import { refuseUnheld } from '../roles/refuse-unheld.js';
import { readRights } from '../roles/rights-of.js';

/** Who changes a user: somebody whose management rules and permissions count, or the application, which may do anything. */
export interface Manager {
  /** The id of the user who does it. Default: the application. */
  readonly actor?: string | undefined;
  /** Of the API key by which the actor asks: it grants nothing beyond them. Default: none, no restriction. */
  readonly scopes?: readonly string[] | undefined;
}

export const managerFields = { actor: Joi.string(), scopes: Joi.array().items(Joi.string()) };

type By = Manager & { readonly roleNames: RoleNames };

/** An action, and the roles of the user whom it is done to. */
export type Act = readonly [action: ManagementAction, targets: readonly string[]];

/**
 * Refuses what the management rules of whoever acts do not allow, as the transaction of `session` sees them.
 *
 * @throws {TollgateError} `permission_missing` (403)
 */
export async function refuseActs(
  connection: Connection,
  session: ClientSession | null,
  { actor, roleNames }: By,
  acts: readonly Act[],
): Promise<void> {
  if (actor === undefined) return;
  const user = readUserId(connection, actor);
  const { roles } = user
    ? await readRights(connection, { user, organization: null }, session)
    : { roles: [] };
  const rules = await readManagement(connection, session, { roles, roleNames });
  for (const [action, targets] of acts) refuseUnmanaged(rules, action, targets, roleNames);
}

/**
 * Makes sure of global roles that a user is about to be given, in the transaction of `session`: whoever acts holds all that they hold, and whoever deletes
 * one at the same time conflicts and then sees the holder. A role need not be defined: then it holds nothing.
 *
 * @throws {TollgateError} `permission_missing` (403); `validation_failed` (400, path `roles`) for one that only adds to a role of organizations
 */
export async function holdGlobalRoles(
  connection: Connection,
  session: ClientSession,
  { actor, scopes = [], roleNames }: By,
  names: readonly string[],
): Promise<void> {
  if (names.some(isExtension)) {
    const errors = [
      { path: 'roles', message: 'must not have a role that only adds to one of organizations' },
    ];
    throw refuse('validation_failed', { errors });
  }
  const permissions: string[] = [];
  for (const name of names) {
    const key = { organization: null, name };
    const stays = name === roleNames.user || name === roleNames.admin; // cannot be deleted: spares everybody the conflict
    if (stays && actor === undefined) continue;
    const role = stays
      ? await Roles(connection).findOne(key, { permissions: 1 }, { session }).lean()
      : await Roles(connection).hold(key, session);
    permissions.push(...(role?.permissions ?? []));
  }
  if (actor === undefined) return;
  const user = readUserId(connection, actor);
  const rights = user && (await readRights(connection, { user, organization: null }, session));
  refuseUnheld(rights?.global ?? [], permissions);
  if (scopes.length > 0) refuseUnheld(scopes, permissions);
}
