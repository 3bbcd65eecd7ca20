import type { ClientSession, Connection, Types } from 'mongoose';
import { isTollgateError, refuse } from '../../errors.js';
import { readUserId } from '../../models/user-id.js';
import type { Actor } from '../roles/actor.js';
import { holdRole } from '../roles/hold-role.js';
import { refuseUnheld } from '../roles/refuse-unheld.js';
import { holds, readRights } from '../roles/rights-of.js';
import type { Acting } from './in-organization.js';
import { inScope } from './permits.js';

/** Who acts, and where. */
export interface Authority extends Readonly<Actor> {
  readonly connection: Connection;
  readonly session: ClientSession | null;
  /** Null: in the whole application, where roles in organizations do not count. */
  readonly organization: Types.ObjectId | null;
}

/**
 * Makes sure that whoever acts holds `permissions`, as `requirePermission()` does: by a global role, or by their role in the organization. What they give
 * or take by it, `passedOn`, they must hold where they do so: in an organization by their role there alone, for what a global role holds is not the organization's to
 * pass on. An API key with scopes must cover both. The application itself may do anything.
 *
 * @throws {TollgateError} `permission_missing` (403, extra `requiredPermission`)
 */
export async function requireRights(
  { connection, session, organization, actor, scopes = [] }: Authority,
  permissions: readonly string[],
  passedOn: readonly string[] = [],
): Promise<void> {
  if (actor === undefined || permissions.length + passedOn.length === 0) return;
  const user = readUserId(connection, actor);
  const rights = user && (await readRights(connection, { user, organization }, session));
  const missing = permissions.find((code) => !rights || !holds(rights, code) || !inScope(scopes, code));
  if (missing !== undefined) throw refuse('permission_missing', { requiredPermission: missing });
  const held = organization ? rights?.organization : rights?.global;
  refuseUnheld(held ?? [], passedOn, scopes);
}

/** What a role that somebody has holds; nothing when the application has made it go. */
export async function permissionsOfRole(
  { connection, session, organization }: Acting,
  name: string,
): Promise<readonly string[]> {
  return holdRole(connection, session, { organization, name }).catch((error: unknown) => {
    if (isTollgateError(error, 'validation_failed')) return [];
    throw error;
  });
}
