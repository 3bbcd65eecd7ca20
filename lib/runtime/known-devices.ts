import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { deriveKey, type Key } from './keyring.js';

/** People who share a browser that it remembers. */
const most = 4;
const shape = /^([\w-]{16})\.([\w-]{43})$/;

const macOf = (key: Key, id: string, email: string): Buffer =>
  createHmac('sha256', deriveKey(key, 'known device')).update(`${id} ${email}`).digest();

/** The id of the device that `cookie` proves `email` has signed in on before, if it does. */
export function deviceOf(
  cookie: string | undefined,
  email: string,
  keys: readonly Key[],
): string | undefined {
  return entriesOf(cookie)
    .map((entry) => shape.exec(entry))
    .find((found) => {
      const [, id = '', mac = ''] = found ?? [];
      const presented = Buffer.from(mac, 'base64url');
      return keys.some(
        (key) => key.signs && presented.length === 32 && timingSafeEqual(presented, macOf(key, id, email)),
      );
    })?.[1];
}

/** The cookie of a device on which `email` has signed in: what it said before, and that. */
export function withDevice(cookie: string | undefined, email: string, keys: readonly Key[]): string {
  const id = randomBytes(12).toString('base64url');
  const entry = `${id}.${macOf(keys[0] as Key, id, email).toString('base64url')}`;
  return [entry, ...entriesOf(cookie)].slice(0, most).join('~');
}

const entriesOf = (cookie: string | undefined): string[] =>
  (cookie ?? '').split('~', most).filter((entry) => shape.test(entry));
