import { domainToASCII } from 'node:url';
import Joi from 'joi';

const address = Joi.string().max(254).email({ tlds: false });

/** What a domain is written in; `domainToASCII` reads a URL's host, and would drop or decode anything else. */
const domainLetters = /^[\p{L}\p{N}\p{M}.。-]+$/u;

/** Two addresses that differ by what nobody sees would be two accounts. */
const invisible = /[\p{C}\p{Z}]/u;

/**
 * The one form in which an address is stored and compared: trimmed, NFKC, lower case, the domain in ASCII (IDNA). Null when
 * that is no address (RFC 5321: 254 characters at most). Two addresses that look alike but differ (a Cyrillic `а`) stay two.
 */
export function canonicalEmail(email: string): string | null {
  const [local, domain, ...more] = email.trim().normalize('NFKC').toLowerCase().split('@');
  const canonical = `${local}@${domainToASCII(domain ?? '')}`;
  const odd = !domainLetters.test(domain ?? '') || invisible.test(local ?? '');
  return odd || more.length > 0 || address.validate(canonical).error ? null : canonical;
}

/** An address as a client may send it; the value is its canonical form. */
export const emailSchema = Joi.string()
  .max(1_000)
  .custom((value: string, helpers) => {
    const canonical = canonicalEmail(value);
    if (canonical !== null && canonicalEmail(canonical) === canonical) return canonical;
    return helpers.message({ custom: 'must be an e-mail address' });
  });
