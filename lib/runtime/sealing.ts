import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { refuse } from '../errors.js';
import { deriveKey, type Key } from './keyring.js';

/** A text that only who holds the key can read, and that nobody can change unnoticed (AES-256-GCM). */
export interface Sealed {
  /** Names the key that it was sealed with. */
  readonly keyId: string;
  readonly sealed: string;
}

const cipherName = 'aes-256-gcm';
const ivLength = 12;
const tagLength = 16;

/**
 * Encrypts `text` with a key that is derived from the first of `keyring` for `purpose` alone. What was sealed for one purpose
 * does not open for another: name the owner in it, and nobody can pass one person's secret off as another's.
 */
export function seal([signer]: readonly Key[], purpose: string, text: string): Sealed {
  const key = signer as Key;
  const iv = randomBytes(ivLength);
  const cipher = createCipheriv(cipherName, deriveKey(key, purpose), iv);
  const bytes = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return { keyId: key.kid, sealed: bytes.toString('base64url') };
}

/** Whether the key is still among those that can open. */
export const isOpenable = (keyring: readonly Key[], { keyId }: Pick<Sealed, 'keyId'>): boolean =>
  keyring.some(({ kid, signs }) => kid === keyId && signs);

/**
 * Decrypts what was sealed with any of `keyring` for the same purpose.
 *
 * @throws {TollgateError} `internal` (500) when its key is gone, for then somebody must put that back
 */
export function open(keyring: readonly Key[], purpose: string, { keyId, sealed }: Sealed): string {
  const key = keyring.find(({ kid, signs }) => kid === keyId && signs);
  if (!key)
    throw refuse('internal', { detail: `A secret is sealed with the key ${keyId}, which is not among keys` });
  const bytes = Buffer.from(sealed, 'base64url');
  const decipher = createDecipheriv(cipherName, deriveKey(key, purpose), bytes.subarray(0, ivLength), {
    authTagLength: tagLength,
  });
  decipher.setAuthTag(bytes.subarray(-tagLength));
  return Buffer.concat([decipher.update(bytes.subarray(ivLength, -tagLength)), decipher.final()]).toString(
    'utf8',
  );
}
