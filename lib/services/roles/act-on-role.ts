import type { ClientSession, Connection } from 'mongoose';
import type { Origin } from '../../audit/record-audit.js';
import type { RoleKey } from '../../models/role.js';
import { opened } from '../../runtime/connection.js';
import { inOrganization } from '../tenancy/in-organization.js';
import { type Authority, requireRights } from '../tenancy/require-rights.js';
import type { Actor } from './actor.js';
import { byGlobalRights } from './by-global-rights.js';
import { roleKey } from './role-key.js';

/** Who does something to which role. */
export interface RoleAct extends Actor, Origin {
  /** Whose role; without it the role is a global one. */
  organizationId?: string | undefined;
  name: string;
}

/** The transaction of it. */
export interface ActingOnRole extends Authority {
  readonly session: ClientSession;
  readonly key: RoleKey;
}

/**
 * Runs `work` in one transaction, after making sure that whoever acts may manage the roles there: for a role of an organization in that of an act in the organization.
 *
 * @throws {TollgateError} `permission_missing` (403) when the actor lacks `organization.roles.manage`, or for a global role `admin.roles.manage`; `not_found`
 *   (404) for an unknown organization; `conflict` (409) for a role that every organization has; `overloaded`, `database_unavailable` (503)
 */
export async function actOnRole<T>(
  given: RoleAct & { readonly connection?: Connection | undefined },
  work: (acting: ActingOnRole) => Promise<T>,
): Promise<T> {
  const { organizationId, actor, scopes } = given;
  const connection = opened(given.connection);
  const key = roleKey(given);
  const { organization } = key;
  const act = async (session: ClientSession) => {
    const acting = { connection, session, organization, actor, scopes, key };
    await requireRights(acting, [organization ? 'organization.roles.manage' : 'admin.roles.manage']);
    return work(acting);
  };
  if (organizationId === undefined) return byGlobalRights(connection, actor, act);
  return inOrganization({ ...given, organizationId }, ({ session }) => act(session));
}
