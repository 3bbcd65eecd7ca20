import type { IncomingHttpHeaders } from 'node:http';
import type { Connection } from 'mongoose';
import { isTollgateError, refuse } from '../../errors.js';
import { cookieIn } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import type { ReadStytchOptions } from '../../runtime/stytch-options.js';
import { isOurToken } from '../../services/federation/our-token.js';
import { stytchVerifier } from '../../services/federation/stytch-session.js';
import {
  guessing,
  type StytchToken,
  stytchMember,
  stytchSignedIn,
} from '../../services/federation/verify-stytch-session.js';
import { type CredentialReader, type CredentialRules, type Found, notAllowed } from './credential-of.js';
import { bearerIn } from './session-readers.js';

type StytchReaderOptions = ReadSharedOptions &
  Pick<CredentialRules, 'accept'> & { readonly stytch: ReadStytchOptions };

/**
 * Read Stytch's sessions: that of the cookies `stytch_session` and `stytch_session_jwt`, of which the first is enough, and that
 * of `Authorization: Bearer`, unless it is written like a token of ours: nothing of ours is ever sent to Stytch.
 *
 * Where `accept` does not have them, Stytch is asked only when nothing else is valid, only to say so; and no user is made.
 *
 * @throws {TypeError} when the package stytch is not installed
 */
export function stytchReaders(options: StytchReaderOptions): readonly CredentialReader[] {
  const { stytch: rules, accept, roleNames, mail, smtpUrl, keyring, credentialRate } = options;
  const verify = stytchVerifier(rules);
  const accepted = accept.includes('stytch');

  async function found(connection: Connection, token: StytchToken, ambient: boolean): Promise<Found> {
    const { user, stytch } = await stytchSignedIn(connection, verify, {
      ...rules,
      ...token,
      roleNames,
      mail,
      smtpUrl,
    });
    const { factors, claims } = stytch;
    const state = {
      user,
      session: null,
      apiKey: null,
      credential: 'stytch',
      factors,
      claims,
      stytch,
    } as const;
    return { state, ambient };
  }

  async function refused(token: StytchToken): Promise<never> {
    await stytchMember(verify, { ...rules, ...token }).catch((error) => {
      throw isTollgateError(error, 'database_unavailable') ? error : refuse('token_invalid'); // as far as anybody knows
    });
    throw notAllowed('stytch', accept);
  }

  const reader =
    (tokenIn: (headers: IncomingHttpHeaders) => string | undefined, ambient: boolean): CredentialReader =>
    (presented, connection, others) => {
      const { headers, strict } = presented;
      const text = tokenIn(headers);
      if (text === undefined || (!accepted && others.length > 0)) return undefined;
      const admit = guessing({ connection, keyring, credentialRate, ip: presented.ip() });
      const token = { token: text, strict, admit };
      return accepted ? found(connection, token, ambient) : refused(token);
    };
  return [reader(ofCookies, true), reader(ofBearer, false)];
}

/** The names are those that Stytch's own SDKs for browsers use. */
const ofCookies = (headers: IncomingHttpHeaders): string | undefined =>
  cookieIn(headers, 'stytch_session') || cookieIn(headers, 'stytch_session_jwt') || undefined;

function ofBearer(headers: IncomingHttpHeaders): string | undefined {
  const token = bearerIn(headers);
  return token === undefined || isOurToken(token) ? undefined : token;
}
