import type { ClientSession, Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';

/** Writes down in a transaction what a user did with a factor of their own. */
export async function auditFactor(
  connection: Connection,
  session: ClientSession,
  { userId, ip, userAgent, requestId }: Origin & { readonly userId: string },
  { action, passkey }: { readonly action: string; readonly passkey?: string },
): Promise<void> {
  const target = { type: 'user', id: userId };
  const details = passkey === undefined ? {} : { passkey };
  const origin = { ip, userAgent, requestId };
  await recordAudit({ connection, session, action, actor: userId, target, details, ...origin });
}
