import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { accessTokenVerifier } from '../../runtime/access-tokens.js';
import { foresee, strictOf } from '../../runtime/connection.js';
import { readCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { foreseenSession, type LiveSession, sessionOf } from '../../services/sessions/session-of.js';
import { namedIn } from '../named-in.js';
import type { CredentialReader, Found } from './credential-of.js';
import { noClaims } from './signed-in.js';

/** Read access tokens: that of the session cookie, which goes first, and that of `Authorization: Bearer`. */
export function sessionReaders(options: ReadSharedOptions): readonly CredentialReader[] {
  const verify = accessTokenVerifier(options);

  async function found(
    ctx: ParameterizedContext,
    connection: Connection,
    { token, ambient }: { token: string; ambient: boolean },
  ): Promise<Found> {
    const claims = verify(token);
    if (!claims)
      throw refuse('token_invalid', { headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } });
    const which = { sessionId: claims.sid, userId: claims.sub };
    const strict = strictOf(ctx, options.strict);
    const { user, session, factors } = await (strict
      ? now(ctx, connection, which)
      : sessionOf(connection, { ...which, strict: false }));
    const state = { user, session, apiKey: null, credential: 'session', factors, claims: noClaims } as const;
    return { state, ambient };
  }

  return [
    function byCookie(ctx, connection) {
      const token = readCookie(ctx, 'access_token', options.cookies);
      return token === undefined ? undefined : found(ctx, connection, { token, ambient: true });
    },
    function byBearer(ctx, connection) {
      const token = bearerOf(ctx);
      return token === undefined ? undefined : found(ctx, connection, { token, ambient: false });
    },
  ];
}

/** The session as the database has it, and what the guards that follow decide by, in one command. */
async function now(
  ctx: ParameterizedContext,
  connection: Connection,
  which: { readonly sessionId: string; readonly userId: string },
): Promise<LiveSession> {
  const organizationId = namedIn(ctx, 'organizationId', 'X-Organization-Id');
  const { snapshot, ...live } = await foreseenSession(connection, { ...which, organizationId });
  foresee(ctx, snapshot);
  return live;
}

/** The token of `Authorization: Bearer …` (RFC 6750); another scheme is not meant for us. */
export function bearerOf(ctx: ParameterizedContext): string | undefined {
  const header = ctx.req.headers.authorization;
  return header && /^bearer(?: |$)/i.test(header) ? header.slice(7).trim() : undefined;
}
