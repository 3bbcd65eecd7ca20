import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Users } from '../../models/user.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import type { Snapshot } from '../../runtime/snapshot.js';
import type { User } from '../../runtime/user.js';
import { snapshotOf } from '../foresight.js';
import { asUser } from '../identity/as-user.js';
import { asSession, type Session } from './as-session.js';
import { foreseeSession, type Joined, readSession } from './read-session.js';

/** A session that counts now, with its user. Frozen: several requests share it. */
export interface LiveSession {
  readonly user: User;
  readonly session: Session;
  readonly factors: readonly string[];
}

export interface SessionOf {
  readonly sessionId: string;
  readonly userId: string;
  /** True reads it from the database whatever is remembered. */
  readonly strict: boolean;
}

const live = freshCache<LiveSession>(50_000);

/**
 * The session that an access token speaks of, with its user: in one command, which it may share with others, and remembered until either changes; then it is there at once.
 *
 * @throws {TollgateError} `session_revoked` (401) when it has ended or expired, or a credential changed since;
 *   `user_inactive` (403); `database_unavailable` (503)
 */
export function sessionOf(connection: Connection, which: SessionOf): LiveSession | Promise<LiveSession> {
  const known = live(connection).known(which.sessionId, which.strict);
  return known && !known.session.isExpired ? requireLive(known, which.userId) : loaded(connection, which);
}

async function loaded(
  connection: Connection,
  { sessionId, userId, strict }: SessionOf,
): Promise<LiveSession> {
  const load = async () => judge(connection, await readSession(connection, sessionId), userId);
  const subjects = [`session:${sessionId}`, `user:${userId}`];
  const sessions = live(connection);
  let found = await sessions.get(sessionId, subjects, load, strict);
  if (found.session.isExpired) {
    sessions.forget(sessionId); // refreshed by another process, perhaps: that is not announced
    found = await sessions.get(sessionId, subjects, load, strict);
  }
  return requireLive(found, userId);
}

function requireLive<S extends LiveSession>(found: S, userId: string): S {
  if (found.session.isExpired || found.user.id !== userId) throw refuse('session_revoked');
  return found;
}

/** A live session, and what the guards that follow decide by, from the same command. */
export interface ForeseenSession extends LiveSession {
  readonly snapshot: Snapshot;
}

const foreseen = freshCache<ForeseenSession>(1); // remembers nothing: requests that ask at the same time share a read

/**
 * The same as the database has it now, for a strict request: with what the guards that follow would read, of the organization that the request names.
 *
 * @throws as `sessionOf()` does
 */
export async function foreseenSession(
  connection: Connection,
  {
    sessionId,
    userId,
    organizationId,
  }: Omit<SessionOf, 'strict'> & { readonly organizationId: string | undefined },
): Promise<ForeseenSession> {
  const load = async () => {
    const found = await foreseeSession(connection, sessionId, { userId, organizationId });
    const live = judge(connection, found, userId);
    const snapshot = snapshotOf(connection, live.user, found ?? {}, organizationId !== undefined);
    return { ...live, snapshot };
  };
  const key = JSON.stringify([sessionId, userId, organizationId]);
  return requireLive(await foreseen(connection).get(key, [], load, true), userId);
}

function judge(connection: Connection, found: Joined | undefined, userId: string): LiveSession {
  const user = found?.users[0];
  if (!found || !user || String(user._id) !== userId) throw refuse('session_revoked');
  if (user.status === 'inactive') throw refuse('user_inactive');
  const ended =
    found.revokedAt || found.expiresAt <= found.now || found.credentialEpoch !== (user.credentialEpoch ?? 0);
  if (ended) throw refuse('session_revoked');
  return Object.freeze({
    user: asUser(user, Users(connection)),
    session: asSession(found),
    factors: Object.freeze([...found.factors]),
  });
}
