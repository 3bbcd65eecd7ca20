import { randomBytes } from 'node:crypto';
import { type ClientSession, type Connection, Types } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { liveSession, Sessions, type StoredSession } from '../../models/session.js';
import { type StoredUser, Users } from '../../models/user.js';
import { signAccessToken } from '../../runtime/access-tokens.js';
import type { Key } from '../../runtime/keyring.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import type { User } from '../../runtime/user.js';
import { asUser } from '../identity/as-user.js';
import { asSession, type Session } from './as-session.js';
import { makeRefreshToken } from './refresh-token.js';
import { end } from './revoke-sessions.js';

/** What every sign-in and refresh gives. */
export interface SignedInSession {
  readonly user: User;
  readonly session: Session;
  readonly accessToken: string;
  /** Seconds until the access token expires. */
  readonly expiresIn: number;
  readonly refreshToken: string;
}

/** A user as it was read together with the credentials that were verified. */
export type FoundUser = StoredUser & { _id: Types.ObjectId };

export interface SessionStart extends ReadSharedOptions, Origin {
  readonly connection: Connection;
  readonly user: FoundUser;
  readonly factors: readonly string[];
  readonly delivery?: 'cookie' | 'body' | undefined;
  /** When the user proved who they are; null: nobody knows, perhaps long ago. Default: just now. */
  readonly provedAt?: Date | null | undefined;
}

/**
 * Starts a session for a user whose factors have been verified, by the credentials that were read with the user.
 *
 * @throws {TollgateError} `credentials_invalid` (401) when these have changed since, `database_unavailable` (503)
 */
export const startSession = (start: SessionStart): Promise<SignedInSession> =>
  transaction(start.connection, (session) => startSessionIn(session, start));

/** The same in the transaction of `session`, beside what else the sign-in uses up. */
export async function startSessionIn(session: ClientSession, start: SessionStart): Promise<SignedInSession> {
  const {
    connection,
    user,
    keyring,
    factors,
    delivery = 'cookie',
    provedAt,
    refreshTtl,
    sessionTtl,
    accessTtl,
    ip,
    userAgent,
    requestId,
  } = start;
  const signer = keyring[0] as Key;
  const credentialEpoch = user.credentialEpoch ?? 0;
  const _id = new Types.ObjectId();
  const refresh = makeRefreshToken(String(_id), 0, randomBytes(32).toString('base64url'), signer);
  const admitted = await Users(connection).admit(user._id, credentialEpoch, session);
  if (!admitted?.lastSignInAt) throw refuse('credentials_invalid');
  const now = admitted.lastSignInAt;
  const document = {
    _id,
    user: user._id,
    credentialEpoch,
    delivery,
    macKeyId: signer.kid,
    currentHash: refresh.hash,
    previousHash: null,
    successorSeen: false,
    generation: 0,
    rotatedAt: now,
    factors: [...factors],
    authenticatedAt: provedAt && provedAt < now ? provedAt : now,
    silent: provedAt === null,
    createdAt: now,
    lastUsedAt: now,
    expiresAt: new Date(now.getTime() + Math.min(refreshTtl, sessionTtl) * 1000),
    absoluteExpiresAt: new Date(now.getTime() + sessionTtl * 1000),
    revokedAt: null,
    ...(ip && { ip }),
    ...(userAgent && { userAgent }),
  } satisfies StoredSession & { _id: Types.ObjectId };
  await Sessions(connection).insertMany([document], { session });
  await endOldest(connection, session, user._id, { ip, userAgent, requestId });
  const target = { type: 'session', id: String(_id) };
  const actor = String(user._id);
  await recordAudit({
    connection,
    session,
    action: 'user.signed-in',
    actor,
    target,
    ip,
    userAgent,
    requestId,
  });
  const accessToken = signAccessToken(start, { sub: String(user._id), sid: String(_id) });
  const shown = { user: asUser(user, Users(connection)), session: asSession(document) };
  return Object.freeze({ ...shown, accessToken, expiresIn: accessTtl, refreshToken: refresh.token });
}

/** Live sessions of a user: so few that they can all be ended in one transaction, whoever has made them. */
const most = 100;

async function endOldest(
  connection: Connection,
  session: ClientSession,
  user: Types.ObjectId,
  origin: Origin,
): Promise<void> {
  const live = { user, ...liveSession };
  const surplus = await Sessions(connection)
    .find(live, { _id: 1 }, { session })
    .sort({ _id: -1 })
    .skip(most)
    .lean();
  const which = { user, _id: { $in: surplus.map(({ _id }) => _id) } };
  if (surplus.length > 0) await end(connection, session, which, { ...origin, action: 'session.revoked' });
}
