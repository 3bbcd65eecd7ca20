import { createHash, randomBytes, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A key as its owner gets to see it, once, and what is stored of it. */
export interface ApiKeyText {
  readonly key: string;
  /** Names the key to people, and tells nothing of the rest. */
  readonly prefix: string;
  readonly hash: string;
}

const shape = /^tg_[0-9a-z]{8}_[\w-]{49}$/;

/** Six characters that tell a mistyped or made-up key from a real one without asking anybody: no secret. */
function checksumOf(body: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64url');
}

const hashOf = (key: string): string => createHash('sha256').update(key).digest('base64url');

/** Makes a key: `tg_`, eight characters that name it, `_`, 32 random bytes and a checksum, in base64url. */
export function makeApiKey(): ApiKeyText {
  const name = randomInt(36 ** 8)
    .toString(36)
    .padStart(8, '0');
  const prefix = `tg_${name}`;
  const body = `${prefix}_${randomBytes(32).toString('base64url')}`;
  const key = body + checksumOf(body);
  return { key, prefix, hash: hashOf(key) };
}

/** What is stored of `key`; null when it cannot be a key. */
export function hashOfApiKey(key: string): string | null {
  return shape.test(key) && checksumOf(key.slice(0, -6)) === key.slice(-6) ? hashOf(key) : null;
}
