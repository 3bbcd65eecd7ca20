import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { deriveKey, type Key } from '../../runtime/keyring.js';

/** What a genuine refresh token says: the session it belongs to, and which of its tokens it is. */
export interface RefreshClaims {
  readonly family: string;
  readonly generation: number;
  /** What the session stores of the token. */
  readonly hash: string;
  /** The key that it was made with. */
  readonly key: Key;
}

const macOf = (key: Key, body: string): string =>
  createHmac('sha256', deriveKey(key, 'refresh token')).update(body).digest('base64url');

const hashOf = (random: string): string => createHash('sha256').update(random).digest('base64url');

/** Makes `family.generation.random.mac`; `random` is 32 bytes in base64url, of which only the hash is stored. */
export function makeRefreshToken(
  family: string,
  generation: number,
  random: string,
  key: Key,
): { token: string; hash: string } {
  const body = `${family}.${generation}.${random}`;
  return { token: `${body}.${macOf(key, body)}`, hash: hashOf(random) };
}

const shape = /^([0-9a-f]{24})\.(0|[1-9]\d{0,8})\.([\w-]{43})\.([\w-]{43})$/;

/** Reads a token that was made with one of `keys`; null for any other text, without asking the database. */
export function readRefreshToken(token: string, keys: readonly Key[]): RefreshClaims | null {
  const [, family, generation, random, mac] = shape.exec(token) ?? [];
  if (!family || !generation || !random || !mac) return null;
  const body = `${family}.${generation}.${random}`;
  const key = keys.find(
    (each) => each.signs && timingSafeEqual(Buffer.from(mac), Buffer.from(macOf(each, body))),
  );
  return key ? { family, generation: Number(generation), hash: hashOf(random), key } : null;
}

/**
 * The random part of the token that follows `token`: an HMAC of it under the key that made it. So the same token always has
 * the same successor, and no token needs to be stored to be given again.
 */
export const successorOf = (token: string, key: Key): string =>
  createHmac('sha256', deriveKey(key, 'refresh successor')).update(token).digest('base64url');
