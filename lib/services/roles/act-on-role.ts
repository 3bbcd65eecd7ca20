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

/** What is judged: in the transaction of its session; without one beforehand, when nothing may be written. */
export interface JudgedOnRole extends Authority {
  readonly key: RoleKey;
}

/** The transaction of it. */
export interface ActingOnRole extends JudgedOnRole {
  readonly session: ClientSession;
}

/**
 * Runs `work` in one transaction, after making sure that whoever acts may manage the roles there, and of what `judge` refuses: for a role of an organization in that
 * of an act in the organization, for a global one as `byGlobalRights()` does, which judges beforehand too.
 *
 * @throws {TollgateError} `permission_missing` (403) when the actor lacks `organization.roles.manage`, or for a global role `admin.roles.manage`; `not_found`
 *   (404) for an unknown organization; `conflict` (409) for a role that every organization has; `overloaded`, `database_unavailable` (503)
 */
export async function actOnRole<Judged, T>(
  given: RoleAct & { readonly connection?: Connection | undefined },
  judge: (asked: JudgedOnRole) => Promise<Judged>,
  work: (acting: ActingOnRole, judged: Judged) => Promise<T>,
): Promise<T> {
  const { organizationId, actor, scopes } = given;
  const connection = opened(given.connection);
  const key = roleKey(given);
  const { organization } = key;
  const about = { connection, organization, actor, scopes, key };
  const judgeIn = async (session: ClientSession | null) => {
    const asked = { ...about, session };
    await requireRights(asked, [organization ? 'organization.roles.manage' : 'admin.roles.manage']);
    return judge(asked);
  };
  const act = (session: ClientSession, judged: Judged) => work({ ...about, session }, judged);
  if (organizationId === undefined) return byGlobalRights(connection, actor, judgeIn, act);
  return inOrganization({ ...given, organizationId }, async ({ session }) =>
    act(session, await judgeIn(session)),
  );
}
