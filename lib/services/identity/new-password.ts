import Joi from 'joi';
import { refuse } from '../../errors.js';
import { canonicalEmail } from './canonical-email.js';
import { commonPasswords } from './common-passwords.js';

const tooCommon = 'must not be one of the most common passwords';
const ownAddress = 'must not be the e-mail address or its part before the @';

/**
 * A new password, wherever one is set: long enough to be worth hashing, short enough not to be an attack, none of the most
 * common ones, and not the address beside it in `email` (NIST SP 800-63B, 3.1.1.2). Where the address stands elsewhere see
 * `refuseOwnAddress`. Characters are UTF-16 code units, as an HTML form counts them.
 */
export const newPassword = Joi.string()
  .min(8)
  .max(256)
  .custom((password: string, helpers) => {
    if (commonPasswords.has(plain(password))) return helpers.message({ custom: tooCommon });
    const { email } = (helpers.state.ancestors[0] ?? {}) as { email?: unknown };
    if (typeof email === 'string' && isAddress(password, email))
      return helpers.message({ custom: ownAddress });
    return password;
  });

/**
 * Refuses a new password that is its owner's address.
 *
 * @throws {TollgateError} `validation_failed` (400) for `path`, which is what the client calls the password
 */
export function refuseOwnAddress(password: string, email: string, path = 'password'): void {
  if (isAddress(password, email))
    throw refuse('validation_failed', { errors: [{ path, message: ownAddress }] });
}

const plain = (text: string): string => text.normalize('NFKC').toLowerCase();

function isAddress(password: string, email: string): boolean {
  const address = canonicalEmail(email) ?? plain(email);
  return [address, plain(email), address.split('@')[0]].includes(plain(password));
}
