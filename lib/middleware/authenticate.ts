import type { Middleware } from 'koa';
import { type ErrorCode, refuse } from '../errors.js';
import { after } from '../runtime/after.js';
import { connectionOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import type { User } from '../runtime/user.js';
import { credentialOf } from './credentials/credential-of.js';
import {
  type CredentialChoice,
  credentialOptions,
  credentialReaders,
} from './credentials/credential-readers.js';
import { PresentedToKoa } from './credentials/presented.js';
import type {
  CredentialKind,
  MaybeSignedIn,
  SignedIn,
  SignedInByApiKey,
  SignedInBySession,
  SignedInByStytch,
} from './credentials/signed-in.js';
import { described } from './described.js';
import type { Guard } from './guard.js';
import { refuseOtherOrigins } from './require-same-origin.js';

export type {
  CredentialKind,
  MaybeSignedIn,
  SignedIn,
  SignedInByApiKey,
  SignedInBySession,
  SignedInByStytch,
};

export interface AuthenticateOptions extends SharedOptions {
  /** True lets a request without a valid credential through, with a null user. Default false. */
  optional?: boolean | undefined;
  /** The kinds of credential that are taken. Default `['session', 'apiKey']`. */
  accept?: readonly CredentialKind[] | undefined;
}

const nobody: MaybeSignedIn = Object.freeze({
  user: null,
  session: null,
  apiKey: null,
  credential: null,
  factors: null,
  claims: null,
});

/**
 * Lets a request through when it carries a valid credential: an access token, in the session cookie or as `Authorization:
 * Bearer`, or an API key in `X-API-Key`; and where `accept` has `'stytch'`, a session of Stytch's (option `stytch`).
 *
 * Every credential that is presented is verified; an invalid one is passed over when another is valid, and the cookie
 * goes first. A state-changing request with the cookie must come from our own pages (see `requireSameOrigin()`).
 *
 * Refuses with 401 `token_missing`, `token_invalid`, `session_revoked`; 403 `user_inactive`, `ip_not_allowed`; 403
 * `credential_not_allowed` (a valid credential of a kind that is not in `accept`), `cross_origin`; 400 `credentials_conflict` (two
 * valid credentials of different users, or a session beside an API key); 503 `database_unavailable`. With `optional` only the
 * last four remain. Of Stytch's sessions also 403 `email_unverified`, 409 `email_taken` (a member who can be given no user) and,
 * also with `optional`, when no other credential is valid, 503 `identity_provider_unavailable` and 429 `rate_limited` (too many
 * tokens from one address that Stytch does not know).
 *
 * @example api.use(authenticate({ keys }));
 */
export function authenticate(options: AuthenticateOptions & { optional: true }): Guard<{}, MaybeSignedIn>;
export function authenticate(
  options: AuthenticateOptions & { accept: readonly ['session']; optional?: false | undefined },
): Guard<{}, SignedInBySession>;
export function authenticate(
  options: AuthenticateOptions & { accept: readonly ['apiKey']; optional?: false | undefined },
): Guard<{}, SignedInByApiKey>;
export function authenticate(
  options: AuthenticateOptions & { accept: readonly ['stytch']; optional?: false | undefined },
): Guard<{}, SignedInByStytch>;
export function authenticate(
  options: AuthenticateOptions & { optional?: false | undefined },
): Guard<{}, SignedIn>;
export function authenticate(options: AuthenticateOptions): Guard<{}, MaybeSignedIn>;
export function authenticate(options: AuthenticateOptions): Middleware {
  const read = readOptions<CredentialChoice>('authenticate', options, credentialOptions());
  const readers = credentialReaders('authenticate', read);
  const told = { accept: read.accept, optional: read.optional, refuses: refusalsOf(read) };

  return described(told, function authenticate(ctx, next) {
    const connection = connectionOf(ctx, read.connection);
    const sameOrigin = () => refuseOtherOrigins(ctx, read);
    return after(
      credentialOf(new PresentedToKoa(ctx, read), connection, readers, read, sameOrigin),
      (found) => {
        Object.assign(ctx.state, found ?? nobody);
        return next();
      },
    );
  });
}

/** Those of every credential; what only Stytch's sessions are refused with stands apart. */
function refusalsOf({ accept, optional }: CredentialChoice): readonly ErrorCode[] {
  const invalid = ['token_missing', 'token_invalid', 'session_revoked', 'user_inactive'] as const;
  const always = ['credential_not_allowed', 'credentials_conflict', 'cross_origin'] as const;
  const byKey = accept.includes('apiKey') ? (['ip_not_allowed'] as const) : [];
  const elsewhere = ['identity_provider_unavailable', 'rate_limited'] as const;
  return [
    ...(optional ? [] : [...invalid, ...byKey]),
    ...always,
    ...(accept.includes('stytch') ? elsewhere : []),
    ...(accept.includes('stytch') && !optional ? (['email_unverified', 'email_taken'] as const) : []),
  ];
}

/** The user whom `authenticate()` found, or 401 `token_missing`: also where that is missing upstream. */
export function signedIn(ctx: { readonly state: Partial<MaybeSignedIn> }): User {
  const { user } = ctx.state;
  if (!user) throw refuse('token_missing');
  return user;
}
