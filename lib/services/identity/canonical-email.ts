import { domainToASCII } from 'node:url';
import Joi from 'joi';

/**
 * The one form in which an address is stored and compared: trimmed, NFKC, lower case, the domain in ASCII (IDNA).
 * Two addresses that look alike but differ (a Cyrillic `а`) stay two.
 */
export function canonicalEmail(email: string): string {
  const [local = '', domain = ''] = email.trim().normalize('NFKC').toLowerCase().split('@');
  return `${local}@${domainToASCII(domain)}`;
}

/** An address as a client may send it: one address, at most 254 characters (RFC 5321), in its canonical form. */
export const emailSchema = Joi.string()
  .max(254)
  .email({ tlds: false })
  .custom((value: string) => canonicalEmail(value));
