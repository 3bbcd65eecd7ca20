import { randomBytes } from 'node:crypto';
import Joi from 'joi';
import { type Connection, Types } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Sessions, type StoredSession } from '../../models/session.js';
import { type StoredUser, Users } from '../../models/user.js';
import { signAccessToken } from '../../runtime/access-tokens.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { Key } from '../../runtime/keyring.js';
import {
  type ReadSharedOptions,
  readOptions,
  requiredKeys,
  type SharedOptions,
} from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { asSession, type Session } from './as-session.js';
import { asUser, type User } from './as-user.js';
import { emailSchema } from './canonical-email.js';
import { hashPassword, isOutdated, verifyPassword } from './password.js';
import { makeRefreshToken } from './refresh-token.js';

export interface Credentials extends Origin {
  email: string;
  password: string;
  /** How the refresh token will reach the client, fixed for the session's life. Default `cookie`. */
  delivery?: 'cookie' | 'body' | undefined;
}

export interface SignedInSession {
  readonly user: User;
  readonly session: Session;
  readonly accessToken: string;
  /** Seconds until the access token expires. */
  readonly expiresIn: number;
  readonly refreshToken: string;
}

type Found = StoredUser & { _id: Types.ObjectId };

const own = {
  email: emailSchema.required(),
  password: Joi.string().max(256).required(),
  delivery: Joi.valid('cookie', 'body'),
  ip: Joi.string(),
  userAgent: Joi.string(),
  requestId: Joi.string(),
};

/**
 * Signs a user in by password and starts a session.
 *
 * An unknown address, a wrong password and a deactivated user are refused alike, after the same work. A password change
 * at the same time wins: the session is only made while the credentials are those that were verified.
 *
 * @throws {TollgateError} `credentials_invalid` (401), `email_unverified` (403, only after the right password),
 *   `overloaded` (503), `database_unavailable` (503)
 * @example const { user, accessToken } = await signIn({ email, password, keys: [secret] });
 */
export async function signIn(input: Credentials & SharedOptions): Promise<SignedInSession> {
  const given = readOptions<Credentials>('signIn', input, { ...requiredKeys(), ...own });
  const connection = opened(given.connection);
  const user = await database(() => Users(connection).findOne({ email: given.email }).lean());
  const genuine = await verifyPassword(given.password, user?.password, given);
  if (!user || !genuine || user.status !== 'active') throw refuse('credentials_invalid');
  if (!user.emailVerified) throw refuse('email_unverified');
  if (user.password && isOutdated(user.password, given)) await upgrade(connection, user, given);
  return startSession({ ...given, connection, user, factors: ['password'] });
}

async function upgrade(
  connection: Connection,
  user: Found,
  given: Credentials & ReadSharedOptions,
): Promise<void> {
  const password = await hashPassword(given.password, given);
  await database(() => Users(connection).upgradePassword(user._id, user.password?.hash ?? '', password));
}

interface SessionStart extends ReadSharedOptions, Origin {
  readonly connection: Connection;
  readonly user: Found;
  readonly factors: readonly string[];
  readonly delivery?: 'cookie' | 'body' | undefined;
}

/** Starts a session for a user whose factors have been verified, by the credentials that were read with the user. */
async function startSession(start: SessionStart): Promise<SignedInSession> {
  const {
    connection,
    user,
    keyring,
    factors,
    delivery = 'cookie',
    refreshTtl,
    accessTtl,
    ip,
    userAgent,
    requestId,
  } = start;
  const signer = keyring[0] as Key;
  const _id = new Types.ObjectId();
  const refresh = makeRefreshToken(String(_id), 0, randomBytes(32).toString('base64url'), signer);
  const stored = await transaction(connection, async (session) => {
    const admitted = await Users(connection).admit(user._id, user.credentialEpoch, session);
    if (!admitted?.lastSignInAt) throw refuse('credentials_invalid');
    const now = admitted.lastSignInAt;
    const document = {
      _id,
      user: user._id,
      credentialEpoch: user.credentialEpoch,
      delivery,
      macKeyId: signer.kid,
      currentHash: refresh.hash,
      generation: 0,
      factors: [...factors],
      authenticatedAt: now,
      createdAt: now,
      lastUsedAt: now,
      expiresAt: new Date(now.getTime() + refreshTtl * 1000),
      revokedAt: null,
      ...(ip && { ip }),
      ...(userAgent && { userAgent }),
    } satisfies StoredSession & { _id: Types.ObjectId };
    await Sessions(connection).insertMany([document], { session });
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
    return document;
  });
  const accessToken = signAccessToken(start, { sub: String(user._id), sid: String(_id) });
  const shown = { user: asUser(user, Users(connection)), session: asSession(stored) };
  return Object.freeze({ ...shown, accessToken, expiresIn: accessTtl, refreshToken: refresh.token });
}
