import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { accessTokenVerifier } from '../../runtime/access-tokens.js';
import { strictOf } from '../../runtime/connection.js';
import { readCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { sessionOf } from '../../services/sessions/session-of.js';
import type { CredentialReader, Found } from './credential-of.js';
import { noClaims } from './signed-in.js';

/** Read access tokens: that of the session cookie, which goes first, and that of `Authorization: Bearer`. */
export function sessionReaders(options: ReadSharedOptions): readonly CredentialReader[] {
  const verify = accessTokenVerifier(options);

  async function found(
    connection: Connection,
    { token, ambient, strict }: { token: string; ambient: boolean; strict: boolean },
  ): Promise<Found> {
    const claims = verify(token);
    if (!claims)
      throw refuse('token_invalid', { headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } });
    const which = { sessionId: claims.sid, userId: claims.sub, strict };
    const { user, session, factors } = await sessionOf(connection, which);
    const state = { user, session, apiKey: null, credential: 'session', factors, claims: noClaims } as const;
    return { state, ambient };
  }

  return [
    function byCookie(ctx, connection) {
      const token = readCookie(ctx, 'access_token', options.cookies);
      return token === undefined
        ? undefined
        : found(connection, { token, ambient: true, strict: strictOf(ctx, options.strict) });
    },
    function byBearer(ctx, connection) {
      const token = bearerOf(ctx);
      return token === undefined
        ? undefined
        : found(connection, { token, ambient: false, strict: strictOf(ctx, options.strict) });
    },
  ];
}

/** The token of `Authorization: Bearer …` (RFC 6750); another scheme is not meant for us. */
export function bearerOf(ctx: ParameterizedContext): string | undefined {
  const header = ctx.req.headers.authorization;
  return header && /^bearer(?: |$)/i.test(header) ? header.slice(7).trim() : undefined;
}
