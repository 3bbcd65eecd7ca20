import Joi from 'joi';
import { once, type ReadSharedOptions, verifyingKeys } from '../../runtime/options.js';
import { apiKeyReader } from './api-key-reader.js';
import type { CredentialReader, CredentialRules } from './credential-of.js';
import { sessionReaders } from './session-readers.js';
import { credentialKinds } from './signed-in.js';
import { stytchReaders } from './stytch-reader.js';

/** What `authenticate()` and `identify()` are given beside the shared options. */
export const credentialOptions = once(() => ({
  ...verifyingKeys(),
  optional: Joi.boolean().default(false),
  accept: Joi.array()
    .items(Joi.valid(...credentialKinds))
    .min(1)
    .default(['session', 'apiKey']),
}));

export type CredentialChoice = Pick<CredentialRules, 'accept' | 'optional'>;

/**
 * The readers of every kind of credential, in the order in which they go.
 *
 * @throws {TypeError} when Stytch's sessions are accepted and no project is named
 */
export function credentialReaders(
  caller: string,
  options: ReadSharedOptions & CredentialChoice,
): readonly CredentialReader[] {
  const { stytch, accept } = options;
  if (accept.includes('stytch') && !stytch)
    throw new TypeError(`${caller}(): option stytch is required where accept has 'stytch'`);
  return [...sessionReaders(options), apiKeyReader, ...(stytch ? stytchReaders({ ...options, stytch }) : [])];
}
