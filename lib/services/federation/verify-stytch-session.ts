import Joi from 'joi';
import type { Connection } from 'mongoose';
import { originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions, sharedSchemas } from '../../runtime/options.js';
import type { ReadStytchOptions } from '../../runtime/stytch-options.js';
import type { User } from '../../runtime/user.js';
import { type Guess, guess } from '../identity/guessing-budget.js';
import { isOurToken } from './our-token.js';
import {
  type StytchAsking,
  type StytchSession,
  type StytchVerifier,
  stytchVerifier,
  type VerifiedMember,
} from './stytch-session.js';
import { type StytchRules, stytchUser } from './stytch-user.js';

/** A Stytch session that counts now, with the user that its member is. */
export interface StytchSignedIn {
  readonly user: User;
  readonly stytch: StytchSession;
}

export interface VerifyStytchSession {
  /** Stytch's session token or session JWT. */
  readonly token: string;
  /** The client's address, whose budget a token is counted in that Stytch does not know. Default: it is counted nowhere. */
  readonly ip?: string | undefined;
}

const own = {
  token: Joi.string().required(),
  ip: originFields.ip,
  stytch: (sharedSchemas().stytch as Joi.Schema).required(),
};

/**
 * Verifies a Stytch B2B session as `authenticate({ accept: ['stytch'] })` does, where there is no request: its user, who is
 * made when the member has none, and the session.
 *
 * @throws {TypeError} when an option is wrong, or the package stytch is not installed
 * @throws {TollgateError} `token_invalid`, `session_revoked` (401), `user_inactive`, `email_unverified` (403), `email_taken`
 *   (409), `rate_limited` (429), `identity_provider_unavailable`, `database_unavailable` (503)
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
  const { token, stytch, strict, roleNames, mail, smtpUrl, ip } = given;
  const connection = opened(given.connection);
  const rules = { ...stytch, strict, roleNames, mail, smtpUrl };
  const admit: StytchAsking['admit'] = ip ? guessing({ ...given, connection, ip }) : (ask) => ask();
  return stytchSignedIn(connection, stytchVerifier(stytch), { ...rules, token, admit });
}

/** Counts what Stytch refuses in the budget of the client's address. */
export const guessing =
  ({ connection, keyring, credentialRate, ip }: Omit<Guess, 'route'>): StytchAsking['admit'] =>
  (ask) =>
    guess({ connection, keyring, credentialRate, ip, route: 'stytch' }, ask);

const longest = 4_096;

/** A token, and how it is to be verified. */
export type StytchToken = StytchAsking & { readonly token: string };

/** The member of a genuine session of an organization that is let in; nothing of ours is ever sent to Stytch. */
export async function stytchMember(
  verify: StytchVerifier,
  { token, organizationIds: ours, ...asking }: StytchToken & Pick<ReadStytchOptions, 'organizationIds'>,
): Promise<VerifiedMember> {
  if (!token || token.length > longest || isOurToken(token)) throw refuse('token_invalid');
  const member = await verify(token, asking);
  if (ours && !ours.includes(member.session.organizationId)) throw refuse('token_invalid');
  return member;
}

/** The same with options that are read. */
export async function stytchSignedIn(
  connection: Connection,
  verify: StytchVerifier,
  options: StytchRules & StytchToken,
): Promise<StytchSignedIn> {
  const member = await stytchMember(verify, options);
  return { user: await stytchUser(connection, member, options), stytch: member.session };
}
