import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  KeyObject,
} from 'node:crypto';
import type { Algorithm } from 'jsonwebtoken';

/** A secret of at least 32 bytes, a PEM text, or a `KeyObject`: secret, private (signs and verifies), public (verifies). */
export type SigningKey = string | Buffer | KeyObject;

/** The JWT algorithms that can be pinned: exactly one is accepted, whatever a token's header says. */
export const algorithms = [
  'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512',
] as const satisfies readonly Algorithm[]; // biome-ignore format: a list to scan
export type SigningAlgorithm = (typeof algorithms)[number];

export interface Key {
  /** Names the key in a token's header; derived from the key, and tells nothing about it. */
  readonly kid: string;
  /** Absent for a public key. */
  readonly signs: KeyObject | undefined;
  readonly verifies: KeyObject;
}

/** Reads a key, or throws an Error that says what is wrong with it for `algorithm`. */
export function readKey(given: SigningKey, algorithm: SigningAlgorithm): Key {
  const key = asKeyObject(given);
  const wanted = { H: 'secret', R: 'rsa', P: 'rsa', E: 'ec' }[algorithm.charAt(0)];
  const is = key.type === 'secret' ? 'secret' : key.asymmetricKeyType;
  if (is !== wanted) throw new Error(`is a key of type ${is}, but ${algorithm} needs one of type ${wanted}`);
  if (key.type === 'secret' && (key.symmetricKeySize ?? 0) < 32) {
    throw new Error('must have at least 32 bytes, such as openssl rand -base64 48 makes');
  }
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && modulusLength < 2048)
    throw new Error('must be an RSA key of at least 2048 bits');
  const curve = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' }[algorithm as 'ES256'];
  if (namedCurve !== curve) throw new Error(`is on the curve ${namedCurve}, but ${algorithm} needs ${curve}`);
  const verifies = key.type === 'private' ? createPublicKey(key) : key;
  return { kid: kidOf(verifies), signs: key.type === 'public' ? undefined : key, verifies };
}

/** A key in Node's own form. */
export function asKeyObject(given: SigningKey): KeyObject {
  if (given instanceof KeyObject) return given;
  if (Buffer.isBuffer(given)) return createSecretKey(given);
  if (typeof given !== 'string')
    throw new Error('must be a secret of at least 32 bytes, a PEM text or a KeyObject');
  if (!given.includes('-----BEGIN')) return createSecretKey(Buffer.from(given, 'utf8'));
  return given.includes('PRIVATE KEY') ? createPrivateKey(given) : createPublicKey(given);
}

const bytesOf = (key: KeyObject): Buffer =>
  key.type === 'secret'
    ? key.export()
    : key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'der' });

const kidOf = (key: KeyObject): string =>
  createHmac('sha256', bytesOf(key)).update('koa-tollgate key id').digest('base64url').slice(0, 12);

/** A key for one purpose only, derived from a signing key (HKDF, RFC 5869), so that no token can pass for another kind. */
export function deriveKey(key: Key, purpose: string): Buffer {
  const made = derived.get(key) ?? new Map<string, Buffer>();
  derived.set(key, made);
  const bytes = made.get(purpose) ?? derive(key, purpose);
  made.set(purpose, bytes);
  return bytes;
}

/** The purposes are a few of ours, and each is needed for many requests. */
const derived = new WeakMap<Key, Map<string, Buffer>>();

function derive({ signs }: Key, purpose: string): Buffer {
  if (!signs)
    throw new TypeError(`A public key cannot make a ${purpose}; give authRouter() a private or secret key`);
  return Buffer.from(hkdfSync('sha256', bytesOf(signs), '', `koa-tollgate ${purpose}`, 32));
}
