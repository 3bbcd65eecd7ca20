import Joi from 'joi';
import type { Middleware, ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { type ErrorCode, isTollgateError, refuse, type TollgateError } from '../errors.js';
import { type AccessTokenVerifier, accessTokenVerifier } from '../runtime/access-tokens.js';
import { connectionOf } from '../runtime/connection.js';
import { readCookie } from '../runtime/cookies.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  verifyingKeys,
} from '../runtime/options.js';
import type { User } from '../services/identity/user.js';
import type { Session } from '../services/sessions/as-session.js';
import { type LiveSession, sessionOf } from '../services/sessions/session-of.js';
import type { Guard } from './guard.js';
import { refuseOtherOrigins } from './require-same-origin.js';

/** The kinds of credential that a request may carry. */
export const credentialKinds = ['session', 'apiKey', 'stytch'] as const;
export type CredentialKind = (typeof credentialKinds)[number];

/** What `authenticate()` adds to `ctx.state`. */
export interface SignedIn {
  readonly user: User;
  /** Null where the credential is an API key. */
  readonly session: Session | null;
  readonly credential: CredentialKind;
  /** How the user proved who they are, such as `['password']`. */
  readonly factors: readonly string[];
}

/** What `authenticate({ accept: ['session'] })` adds. */
export interface SignedInBySession extends SignedIn {
  readonly session: Session;
}

/** What `authenticate({ optional: true })` adds: everything is null when nobody is signed in. */
export type MaybeSignedIn = SignedIn | { readonly [K in keyof SignedIn]: null };

export interface AuthenticateOptions extends SharedOptions {
  /** True lets a request without a valid credential through, with a null user. Default false. */
  optional?: boolean | undefined;
  /** The kinds of credential that are taken. Default `['session', 'apiKey']`. */
  accept?: readonly CredentialKind[] | undefined;
}

const nobody: MaybeSignedIn = Object.freeze({ user: null, session: null, credential: null, factors: null });

/**
 * Lets a request through when it carries a valid access token, in the session cookie or as `Authorization: Bearer`.
 *
 * Every credential that is presented is verified; an invalid one is passed over when another is valid, and the cookie
 * goes first. A state-changing request with the cookie must come from our own pages (see `requireSameOrigin()`).
 *
 * Refuses with 401 `token_missing`, `token_invalid`, `session_revoked`; 403 `user_inactive`, `cross_origin`; 400
 * `credentials_conflict` (two valid credentials of different users); 503 `database_unavailable`. With `optional` only the
 * last four remain, `user_inactive` excepted.
 *
 * @example api.use(authenticate({ keys }));
 */
export function authenticate(options: AuthenticateOptions & { optional: true }): Guard<{}, MaybeSignedIn>;
export function authenticate(
  options: AuthenticateOptions & { accept: readonly ['session']; optional?: false | undefined },
): Guard<{}, SignedInBySession>;
export function authenticate(
  options: AuthenticateOptions & { optional?: false | undefined },
): Guard<{}, SignedIn>;
export function authenticate(options: AuthenticateOptions): Guard<{}, MaybeSignedIn>;
export function authenticate(options: AuthenticateOptions): Middleware {
  const own = {
    ...verifyingKeys(),
    optional: Joi.boolean().default(false),
    accept: Joi.array()
      .items(Joi.valid(...credentialKinds))
      .min(1)
      .default(['session', 'apiKey']),
  };
  const read = readOptions<{ optional: boolean }>('authenticate', options, own);
  const verify = accessTokenVerifier(read);

  return async function authenticate(ctx, next) {
    const connection = connectionOf(ctx, read.connection);
    const found = await credentialOf(ctx, connection, verify, read);
    Object.assign(ctx.state, found ?? nobody);
    await next();
  };
}

/** The valid credential of a request, null where none is needed. */
async function credentialOf(
  ctx: ParameterizedContext,
  connection: Connection,
  verify: AccessTokenVerifier,
  options: ReadSharedOptions & { optional: boolean },
): Promise<SignedIn | null> {
  const cookie = readCookie(ctx, 'access_token', options.cookies);
  const bearer = bearerOf(ctx);
  const refusals: TollgateError[] = [];
  const attempt = async (token: string) => {
    try {
      return await verified(token, connection, verify, options.strict);
    } catch (error) {
      if (!isTollgateError(error) || error.status >= 500) throw error;
      refusals.push(error);
      return null;
    }
  };
  const byCookie = cookie === undefined ? null : await attempt(cookie);
  const byBearer = bearer === undefined ? null : await attempt(bearer);
  if (byCookie) refuseOtherOrigins(ctx, options);
  if (byCookie && byBearer && byCookie.user.id !== byBearer.user.id) throw refuse('credentials_conflict');
  const found = byCookie ?? byBearer;
  if (found)
    return { user: found.user, session: found.session, credential: 'session', factors: found.factors };
  if (options.optional) return null;
  throw gravest(refusals);
}

async function verified(
  token: string,
  connection: Connection,
  verify: AccessTokenVerifier,
  strict: boolean,
): Promise<LiveSession> {
  const claims = verify(token);
  if (!claims)
    throw refuse('token_invalid', { headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } });
  return sessionOf(connection, { sessionId: claims.sid, userId: claims.sub, strict });
}

/** The token of `Authorization: Bearer …` (RFC 6750); another scheme is not meant for us. */
function bearerOf(ctx: ParameterizedContext): string | undefined {
  const header = ctx.req.headers.authorization;
  return header && /^bearer(?: |$)/i.test(header) ? header.slice(7).trim() : undefined;
}

/** That the account is deactivated says more than that the session has ended, and that more than a bad token. */
function gravest(refusals: readonly TollgateError[]): TollgateError {
  const byCode = (code: ErrorCode) => refusals.find((refusal) => refusal.code === code);
  return byCode('user_inactive') ?? byCode('session_revoked') ?? refusals[0] ?? refuse('token_missing');
}

/** The user whom `authenticate()` found, or 401 `token_missing`: also where that is missing upstream. */
export function signedIn(ctx: { readonly state: Partial<MaybeSignedIn> }): User {
  const { user } = ctx.state;
  if (!user) throw refuse('token_missing');
  return user;
}
