import type { Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { Sessions, type StoredSession } from '../../models/session.js';
import { credentialPaths, type StoredUser, Users } from '../../models/user.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import { objectId } from '../../runtime/ids.js';
import type { User } from '../../runtime/user.js';
import { asUser } from '../identity/as-user.js';
import { asSession, type Session } from './as-session.js';

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
 * The session that an access token speaks of, with its user: in one command, and remembered until either changes.
 *
 * @throws {TollgateError} `session_revoked` (401) when it has ended or expired, or a credential changed since;
 *   `user_inactive` (403); `database_unavailable` (503)
 */
export async function sessionOf(
  connection: Connection,
  { sessionId, userId, strict }: SessionOf,
): Promise<LiveSession> {
  const load = () => read(connection, sessionId, userId);
  const subjects = [`session:${sessionId}`, `user:${userId}`];
  const sessions = live(connection);
  let found = await sessions.get(sessionId, subjects, load, strict);
  if (found.session.isExpired) {
    sessions.forget(sessionId); // refreshed by another process, perhaps: that is not announced
    found = await sessions.get(sessionId, subjects, load, strict);
  }
  if (found.session.isExpired || found.user.id !== userId) throw refuse('session_revoked');
  return found;
}

type Joined = StoredSession & {
  _id: Types.ObjectId;
  now: Date;
  users: (StoredUser & { _id: Types.ObjectId })[];
};

const hidden = Object.fromEntries(credentialPaths.map((path) => [`users.${path}`, 0]));

async function read(connection: Connection, sessionId: string, userId: string): Promise<LiveSession> {
  const users = Users(connection);
  const [found] = await Sessions(connection).aggregate<Joined>([
    { $match: { _id: objectId(sessionId) } },
    { $lookup: { from: users.collection.name, localField: 'user', foreignField: '_id', as: 'users' } },
    { $project: { ...hidden, currentHash: 0, previousHash: 0 } },
    { $set: { now: '$$NOW' } },
  ]);
  const user = found?.users[0];
  if (!found || !user || String(user._id) !== userId) throw refuse('session_revoked');
  if (user.status === 'inactive') throw refuse('user_inactive');
  const ended =
    found.revokedAt || found.expiresAt <= found.now || found.credentialEpoch !== (user.credentialEpoch ?? 0);
  if (ended) throw refuse('session_revoked');
  return Object.freeze({
    user: asUser(user, users),
    session: asSession(found),
    factors: Object.freeze([...found.factors]),
  });
}
