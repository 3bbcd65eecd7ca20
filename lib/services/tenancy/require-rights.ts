import { isTollgateError } from '../../errors.js';
import { readUserId } from '../../models/user-id.js';
import { holdRole } from '../roles/hold-role.js';
import { refuseUnheld } from '../roles/refuse-unheld.js';
import { readRights } from '../roles/rights-of.js';
import type { Acting } from './in-organization.js';

/**
 * Makes sure that whoever acts holds `permissions`, as the transaction sees their rights. The application itself may do anything.
 *
 * @throws {TollgateError} `permission_missing` (403)
 */
export async function requireRights(
  { connection, session, organization, actor }: Acting,
  permissions: readonly string[],
): Promise<void> {
  if (actor === undefined) return;
  const user = readUserId(connection, actor);
  const rights = user && (await readRights(connection, { user, organization }, session));
  refuseUnheld(rights ? [...rights.global, ...rights.organization] : [], permissions);
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
