import { createHash, randomBytes } from 'node:crypto';

const count = 10;

/** Crockford's base32: no letter can be taken for another or for a digit. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** Ten codes such as `7h2k-9dmx-…`, to be shown once. Each has 120 bits, so that a plain hash of it is enough (ASVS 6.5.2). */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: count }, () => {
    const letters = Array.from(randomBytes(24), (byte) => alphabet.charAt(byte & 31)).join('');
    return letters.replaceAll(/.{4}(?=.)/g, '$&-');
  });
}

/** What is stored of a code, however it was typed. No key goes into it: the codes outlive those. */
export function hashOfRecoveryCode(code: string): string {
  const letters = code.toLowerCase().replaceAll(/[\s-]/g, '');
  const meant = letters.replaceAll('o', '0').replaceAll(/[il]/g, '1');
  return createHash('sha256').update(`recovery code ${meant}`).digest('base64url');
}
