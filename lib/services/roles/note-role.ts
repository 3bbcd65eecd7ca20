import type { ClientSession, Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { changed } from '../../models/revocation.js';
import type { RoleKey } from '../../models/role.js';
import type { Role } from './as-role.js';

export interface RoleNote extends Origin {
  readonly action: 'role.created' | 'role.updated' | 'role.deleted';
  readonly actor?: string | undefined;
  /** As it is now; without it the role is gone. */
  readonly role?: Role | undefined;
}

/** Tells every process, and the audit log, that a role is another one now: in the transaction of `session`. */
export async function noteRole(
  connection: Connection,
  session: ClientSession,
  { organization, name }: RoleKey,
  { action, actor, role, ip, userAgent, requestId }: RoleNote,
): Promise<void> {
  await changed(connection, session, organization ? `organization:${organization}` : 'roles');
  const { permissions, managementRules } = role ?? {};
  await recordAudit({
    connection,
    session,
    action,
    actor,
    target: { type: 'role', id: name },
    organization: organization ?? undefined,
    details: { permissions, managementRules },
    ip,
    userAgent,
    requestId,
  });
}
