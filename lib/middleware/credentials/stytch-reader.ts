import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { isAccessToken } from '../../runtime/access-tokens.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import type { ReadStytchOptions } from '../../runtime/stytch-options.js';
import { stytchVerifier } from '../../services/federation/stytch-session.js';
import { stytchSignedIn } from '../../services/federation/verify-stytch-session.js';
import type { CredentialReader, Found } from './credential-of.js';
import { bearerOf } from './session-readers.js';

/**
 * Read Stytch's sessions: that of the cookies `stytch_session` and `stytch_session_jwt`, of which the first is enough, and that
 * of `Authorization: Bearer`, unless it is written like an access token of ours: nothing of ours is ever sent to Stytch.
 *
 * @throws {TypeError} when the package stytch is not installed
 */
export function stytchReaders(
  options: ReadSharedOptions & { readonly stytch: ReadStytchOptions },
): readonly CredentialReader[] {
  const verify = stytchVerifier(options.stytch);
  const { strict } = options;

  async function found(connection: Connection, token: string, ambient: boolean): Promise<Found> {
    const { user, stytch } = await stytchSignedIn(connection, verify, { ...options.stytch, token, strict });
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

  return [
    function byStytchCookie(ctx, connection) {
      const token = cookieOf(ctx, 'stytch_session') || cookieOf(ctx, 'stytch_session_jwt');
      return token ? found(connection, token, true) : undefined;
    },
    function byStytchBearer(ctx, connection) {
      const token = bearerOf(ctx);
      return token === undefined || isAccessToken(token) ? undefined : found(connection, token, false);
    },
  ];
}

/** The names are those that Stytch's own SDKs for browsers use. */
function cookieOf(ctx: ParameterizedContext, name: string): string | undefined {
  if (ctx.req.headers.cookie === undefined) return undefined; // spares the parser
  return ctx.cookies.get(name, { signed: false });
}
