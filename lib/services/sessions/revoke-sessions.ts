import type { ClientSession, Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { changed } from '../../models/revocation.js';
import { type SessionChoice, Sessions } from '../../models/session.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transaction } from '../../runtime/transaction.js';

export interface RevokeSessions extends Origin {
  readonly userId: string;
  /** The one to end; without it all of the user's end. */
  readonly sessionId?: string | undefined;
  /** One that stays, such as the session that asks. */
  readonly except?: string | undefined;
  /** The id of who asks, for the audit log. Default: the user. */
  readonly actor?: string | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Ends sessions of a user: one, all, or all but one. Their access and refresh tokens are refused from now on: at once in this
 * process and in strict mode, within a moment in the others.
 *
 * @returns how many have ended
 * @throws {TollgateError} `not_found` (404) when the one that is named is unknown, another user's or has ended already;
 *   `database_unavailable` (503)
 * @example await revokeSessions({ userId: user.id, except: session.id });
 */
export async function revokeSessions({
  userId,
  sessionId,
  except,
  ...rest
}: RevokeSessions): Promise<number> {
  const connection = opened(rest.connection);
  const [user, one, kept] = [readUserId(connection, userId), objectId(sessionId), objectId(except)];
  const malformed = (sessionId !== undefined && !one) || (except !== undefined && !kept);
  if (!user || malformed) throw refuse('not_found');
  const which: SessionChoice = one ? { _id: one, user } : { user, ...(kept && { _id: { $ne: kept } }) };
  return transaction(connection, async (session) => {
    const count = await end(connection, session, which, {
      actor: userId,
      ...rest,
      action: 'session.revoked',
    });
    if (one && count === 0) throw refuse('not_found');
    return count;
  });
}

/** Ends the sessions that `which` selects, in a transaction: they are forgotten everywhere, and the audit log knows. */
export async function end(
  connection: Connection,
  session: ClientSession,
  which: SessionChoice,
  {
    action,
    actor,
    ip,
    userAgent,
    requestId,
  }: Origin & { readonly action: string; readonly actor?: string | undefined },
): Promise<number> {
  const ended = await Sessions(connection).end(which, session);
  const [first, ...others] = ended.map(({ _id }) => String(_id));
  if (!first) return 0;
  const [subject, ...subjects] = [first, ...others].map((id) => `session:${id}`) as [string, ...string[]];
  await changed(connection, session, subject, ...subjects);
  const details = { sessions: [first, ...others] };
  const target = { type: 'session', id: first };
  const by = actor ?? String(ended[0]?.user);
  await recordAudit({ connection, session, action, actor: by, target, details, ip, userAgent, requestId });
  return ended.length;
}
