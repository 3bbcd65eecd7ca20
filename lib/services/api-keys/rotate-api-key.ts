import { type ClientSession, type Connection, Types } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { refuse, type TollgateError } from '../../errors.js';
import { ApiKeys } from '../../models/api-key.js';
import { changed } from '../../models/revocation.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transaction } from '../../runtime/transaction.js';
import { turnstile } from '../../runtime/turnstile.js';
import type { ShownApiKey } from './as-api-key.js';
import { issueKey, requireIssuer } from './create-api-key.js';

/** Seconds: a week. */
export const longestOverlap = 604_800;

export interface RotateApiKey extends Origin {
  /** The id of the user for whom the key acts. */
  readonly userId: string;
  readonly apiKeyId: string;
  /** The session in which the user asks for it; it must still live. Without it the application asks. */
  readonly sessionId?: string | undefined;
  /** Seconds that the old key still works, 0–604,800 (a week), so that programs can be moved one by one. Default 0. */
  readonly overlap?: number | undefined;
  /** The id of who asks, for the audit log. Default: the user. */
  readonly actor?: string | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Replaces an API key by a new one with the same name, limits and expiry, once. The old one works for `overlap` seconds more, but
 * not beyond its own expiry; where uses are counted, what is left moves to the new key and the old one ends at once.
 *
 * @returns the new key as its owner sees it, with `key`: it is shown this once
 * @throws {TypeError} when `overlap` is wrong
 * @throws {TollgateError} `not_found` (404) when the key is unknown, another user's, malformed or deleted; `conflict` (409) when it
 *   was replaced before, has expired or is used up, or the user has 100 live keys; `session_revoked` (401) when `sessionId` has
 *   ended; `overloaded`, `database_unavailable` (503)
 * @example const { key } = await rotateApiKey({ userId: user.id, apiKeyId: apiKey.id, overlap: 3_600 });
 */
export async function rotateApiKey({
  userId,
  apiKeyId,
  overlap = 0,
  sessionId,
  actor = userId,
  ...rest
}: RotateApiKey): Promise<ShownApiKey> {
  if (!Number.isInteger(overlap) || overlap < 0 || overlap > longestOverlap) {
    throw new TypeError(`rotateApiKey(): overlap must be a whole number of seconds, 0–${longestOverlap}`);
  }
  const { ip, userAgent, requestId } = rest;
  const connection = opened(rest.connection);
  const [user, id] = [readUserId(connection, userId), objectId(apiKeyId)];
  if (!user || !id) throw refuse('not_found');
  const make = async (session: ClientSession) => {
    await requireIssuer(connection, session, { user, sessionId });
    const successor = new Types.ObjectId();
    const old = await ApiKeys(connection).replace(id, user, { successor, overlap }, session);
    if (!old) throw await whyNot(connection, id, user, session);
    const { organization = null, name, scopes, allowedIps, expiresAt = null, usesLeft = null } = old;
    const facts = { user, organization, name, scopes, allowedIps, expiresAt, usesLeft };
    const created = await issueKey(connection, session, facts, successor);
    await changed(connection, session, `api-key:${id}`);
    await recordAudit({
      connection,
      session,
      action: 'api-key.rotated',
      actor,
      target: { type: 'api-key', id: String(id) },
      ...(organization && { organization }),
      details: { name, prefix: old.prefix, successor: created.id, overlap },
      ip,
      userAgent,
      requestId,
    });
    return created;
  };
  return turnstile(connection).soon(`api-keys of ${user}`, () => transaction(connection, make));
}

async function whyNot(
  connection: Connection,
  _id: Types.ObjectId,
  user: Types.ObjectId,
  session: ClientSession,
): Promise<TollgateError> {
  const there = await ApiKeys(connection).exists({ _id, user, deletedAt: null }).session(session);
  if (!there) return refuse('not_found');
  return refuse('conflict', {
    detail: 'The key was replaced before, has expired or is used up: create a new one',
  });
}
