import Joi from 'joi';
import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions, sharedSchemas } from '../../runtime/options.js';
import type { ReadStytchOptions } from '../../runtime/stytch-options.js';
import type { User } from '../identity/user.js';
import { type StytchSession, type StytchVerifier, stytchVerifier } from './stytch-session.js';
import { stytchUser } from './stytch-user.js';

/** A Stytch session that counts now, with the user that its member is. */
export interface StytchSignedIn {
  readonly user: User;
  readonly stytch: StytchSession;
}

export interface VerifyStytchSession {
  /** Stytch's session token or session JWT. */
  readonly token: string;
}

const own = {
  token: Joi.string().required(),
  stytch: (sharedSchemas().stytch as Joi.Schema).required(),
};

/**
 * Verifies a Stytch B2B session as `authenticate({ accept: ['stytch'] })` does, where there is no request: its user, who is
 * made when the member has none, and the session.
 *
 * @throws {TypeError} when an option is wrong, or the package stytch is not installed
 * @throws {TollgateError} `token_invalid`, `session_revoked` (401), `user_inactive`, `email_unverified` (403), `email_taken`
 *   (409), `identity_provider_unavailable`, `database_unavailable` (503)
 * @example const { user, stytch } = await verifyStytchSession({ ...shared, token });
 */
export async function verifyStytchSession(
  input: VerifyStytchSession & SharedOptions,
): Promise<StytchSignedIn> {
  const given = readOptions<VerifyStytchSession & { stytch: ReadStytchOptions }>(
    'verifyStytchSession',
    input,
    own,
  );
  const { token, stytch, strict } = given;
  return stytchSignedIn(opened(given.connection), stytchVerifier(stytch), { ...stytch, token, strict });
}

const longest = 4_096;

/** The same with options that are read. */
export async function stytchSignedIn(
  connection: Connection,
  verify: StytchVerifier,
  { token, ...options }: ReadStytchOptions & { readonly token: string; readonly strict: boolean },
): Promise<StytchSignedIn> {
  if (!token || token.length > longest) throw refuse('token_invalid');
  const member = await verify(token, options.strict);
  const { organizationIds: ours } = options;
  if (ours && !ours.includes(member.session.organizationId)) throw refuse('token_invalid');
  return { user: await stytchUser(connection, member, options), stytch: member.session };
}
