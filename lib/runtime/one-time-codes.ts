import { createHmac, timingSafeEqual } from 'node:crypto';
import { Types } from 'mongoose';
import { deriveKey, type Key } from './keyring.js';

const macOf = (key: Key, purpose: string, id: string): Buffer =>
  createHmac('sha256', deriveKey(key, `one-time ${purpose}`))
    .update(id)
    .digest();

/** The text of a token that goes into a link: `id.mac`, derived by the first key (the one that signs). */
export function linkToken(purpose: string, id: Types.ObjectId, [signer]: readonly Key[]): string {
  return `${id}.${macOf(signer as Key, purpose, String(id)).toString('base64url')}`;
}

const shape = /^([0-9a-f]{24})\.([\w-]{43})$/;

/** The id of a token that was made for `purpose` with any of `keys`; null for any other text, without the database. */
export function readLinkToken(purpose: string, token: string, keys: readonly Key[]): Types.ObjectId | null {
  const [, id, mac] = shape.exec(token) ?? [];
  if (!id || !mac) return null;
  const presented = Buffer.from(mac, 'base64url');
  const genuine = keys.some((key) => key.signs && timingSafeEqual(presented, macOf(key, purpose, id)));
  return genuine ? new Types.ObjectId(id) : null;
}

/** The six digits of a code that is typed, derived by the first key. */
export function digitsOf(purpose: string, id: Types.ObjectId, [signer]: readonly Key[]): string {
  return digits(signer as Key, purpose, id);
}

/** Whether `code` is the code of the token `id`, by any of `keys`; takes as long either way. */
export function isDigitsOf(purpose: string, id: Types.ObjectId, code: string, keys: readonly Key[]): boolean {
  const presented = Buffer.from(code.padEnd(6).slice(0, 6));
  const hits = keys.filter(
    (key) => key.signs && timingSafeEqual(presented, Buffer.from(digits(key, purpose, id))),
  );
  return code.length === 6 && hits.length > 0;
}

/** 48 bits modulo a million: no digit is likelier than another by more than one in 280 million. */
const digits = (key: Key, purpose: string, id: Types.ObjectId): string =>
  String(macOf(key, `${purpose} digits`, String(id)).readUIntBE(0, 6) % 1_000_000).padStart(6, '0');
