import Joi from 'joi';
import { type Connection, Types } from 'mongoose';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { isTollgateError, refuse } from '../../errors.js';
import { notifyByMail } from '../../mail/enqueue-mail.js';
import { type RefreshFamily, Sessions, type StoredSession } from '../../models/session.js';
import { Users } from '../../models/user.js';
import { signAccessToken } from '../../runtime/access-tokens.js';
import { changeFeed } from '../../runtime/change-feed.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { Key } from '../../runtime/keyring.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  signingKeys,
} from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { deactivateUser } from '../identity/deactivate-user.js';
import { makeRefreshToken, type RefreshClaims, readRefreshToken, successorOf } from './refresh-token.js';
import { end } from './revoke-sessions.js';
import { sessionOf } from './session-of.js';
import type { SignedInSession } from './start-session.js';

export interface Refresh extends Origin {
  refreshToken: string;
  /** How the token came; a session is refreshed only by the way that it was given out. */
  delivery: 'cookie' | 'body';
}

type Given = Refresh & ReadSharedOptions;

const own = {
  refreshToken: Joi.string().required(),
  delivery: Joi.valid('cookie', 'body').required(),
  ...originFields,
};

/**
 * Gives a new access token, and the next refresh token, for a refresh token (RFC 9700, section 4.14.2: rotation).
 *
 * Each refresh token has one successor, so that parallel and repeated refreshes are answered alike: within `refreshGrace`, and
 * later as long as the successor was never presented, for then its answer was lost. A genuine token that is older than that
 * has been used by two parties: the session ends.
 *
 * @throws {TollgateError} `token_invalid` (401) when it is not ours or came by the other way; `session_revoked` (401) when the
 *   session has ended, expired, or ends now; `user_inactive` (403); `database_unavailable` (503)
 * @example const { accessToken, refreshToken } = await refreshSession({ refreshToken, delivery: 'body', keys });
 */
export async function refreshSession(input: Refresh & SharedOptions): Promise<SignedInSession> {
  const given = readOptions<Refresh>('refreshSession', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const claims = readRefreshToken(given.refreshToken, given.keyring);
  if (!claims) throw refuse('token_invalid');
  const successor = successorOf(given.refreshToken, claims.key);
  const current = await currentToken(connection, given, claims, successor);
  changeFeed(connection).announce(`session:${claims.family}`); // its times have changed: others notice when they matter
  const { user, session } = await sessionOf(connection, {
    sessionId: claims.family,
    userId: current.userId,
    strict: true,
  });
  const accessToken = signAccessToken(given, { sub: user.id, sid: session.id });
  return Object.freeze({
    user,
    session,
    accessToken,
    expiresIn: given.accessTtl,
    refreshToken: current.token,
  });
}

/** The refresh token that the session has now, as far as whoever presents `claims` may have it. */
async function currentToken(
  connection: Connection,
  given: Given,
  claims: RefreshClaims,
  successor: string,
): Promise<{ token: string; userId: string }> {
  const signer = given.keyring[0] as Key;
  const family = { _id: new Types.ObjectId(claims.family), delivery: given.delivery };
  const next = makeRefreshToken(claims.family, claims.generation + 1, successor, signer);
  const rotated = await database(() =>
    Sessions(connection).rotate(family, claims.hash, { hash: next.hash, macKeyId: signer.kid }, given),
  );
  if (rotated) {
    const token = rotated.generation === claims.generation ? given.refreshToken : next.token;
    return { token, userId: String(rotated.user) };
  }
  const standing = await standingOf(connection, family);
  if (!standing) throw refuse('token_invalid');
  if (hasEnded(standing)) throw refuse('session_revoked');
  if (standing.previousHash !== claims.hash || !isForgiven(standing, given.refreshGrace)) {
    await endForTheft(connection, standing, given);
    throw refuse('session_revoked');
  }
  const key = given.keyring.find(({ kid }) => kid === standing.macKeyId);
  if (!key) throw refuse('token_invalid');
  const { token } = makeRefreshToken(claims.family, standing.generation, successor, key);
  return { token, userId: String(standing.user) };
}

/** A session as a refresh finds it that could not rotate, at the database's time `now`. */
type Standing = StoredSession & { _id: Types.ObjectId; now: Date };

async function standingOf(connection: Connection, family: RefreshFamily): Promise<Standing | undefined> {
  const stages = [{ $match: family }, { $set: { now: '$$NOW' } }];
  const [found] = await database(() => Sessions(connection).aggregate<Standing>(stages));
  return found;
}

const hasEnded = ({ revokedAt, expiresAt, absoluteExpiresAt, now }: Standing): boolean =>
  Boolean(revokedAt) || expiresAt <= now || absoluteExpiresAt <= now;

/** Whether the previous token may come again: just after it was replaced, or when the answer to it was lost. */
const isForgiven = ({ rotatedAt, successorSeen, now }: Standing, grace: number): boolean =>
  !successorSeen || now.getTime() - rotatedAt.getTime() < grace * 1000;

/**
 * Two parties hold tokens of this session. Nobody can tell which is the thief, so it ends for both, and as `onTheft` says the user's other sessions
 * with it, or the account is deactivated; the last owner of an organization and the last administrator are not.
 */
async function endForTheft(connection: Connection, standing: Standing, given: Given): Promise<void> {
  const { ip, userAgent, requestId, onTheft, roleNames } = given;
  const record = { action: 'session.theft-detected', ip, userAgent, requestId };
  const which = onTheft === 'endSession' ? { _id: standing._id } : { user: standing.user };
  await transaction(connection, async (session) => {
    const user = await Users(connection).findById(standing.user, { email: 1 }, { session }).lean();
    const ended = await end(connection, session, which, record);
    if (user && ended > 0) {
      await notifyByMail(connection, session, { kind: 'session-theft', to: user.email }, given);
    }
  });
  if (onTheft !== 'deactivate') return;
  const origin = { ip, userAgent, requestId };
  const whose = { roleNames, userId: String(standing.user), connection };
  await deactivateUser({ ...origin, ...whose }).catch((error: unknown) => {
    const stays = ['last_owner', 'last_admin', 'not_found'] as const; // not found: it is inactive already
    if (!stays.some((code) => isTollgateError(error, code))) throw error;
  });
}
