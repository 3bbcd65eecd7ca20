import type { IncomingHttpHeaders } from 'node:http';
import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { type AccessClaims, accessTokenVerifier } from '../../runtime/access-tokens.js';
import { after } from '../../runtime/after.js';
import { cookieIn, cookieName } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { foreseenSession, type LiveSession, sessionOf } from '../../services/sessions/session-of.js';
import type { CredentialReader, Found } from './credential-of.js';
import type { Presented } from './presented.js';
import { noClaims } from './signed-in.js';

/** Read access tokens: that of the session cookie, which goes first, and that of `Authorization: Bearer`. */
export function sessionReaders(options: ReadSharedOptions): readonly CredentialReader[] {
  const verify = accessTokenVerifier(options);
  const cookie = cookieName('access_token', options.cookies);

  function found(
    presented: Presented,
    connection: Connection,
    { token, ambient }: { token: string; ambient: boolean },
  ): Found | Promise<Found> {
    const claims = verify(token);
    if (!claims)
      throw refuse('token_invalid', { headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } });
    return after(liveSession(presented, connection, claims), ({ user, session, factors }) => {
      const state = {
        user,
        session,
        apiKey: null,
        credential: 'session',
        factors,
        claims: noClaims,
      } as const;
      return { state, ambient };
    });
  }

  return [
    function byCookie(presented, connection) {
      const token = cookieIn(presented.headers, cookie);
      return token === undefined ? undefined : found(presented, connection, { token, ambient: true });
    },
    function byBearer(presented, connection) {
      const token = bearerIn(presented.headers);
      return token === undefined ? undefined : found(presented, connection, { token, ambient: false });
    },
  ];
}

/** The session; in strict mode with what the guards that follow decide by, in one command. */
function liveSession(
  presented: Presented,
  connection: Connection,
  { sid: sessionId, sub: userId }: AccessClaims,
): LiveSession | Promise<LiveSession> {
  const { strict } = presented;
  const following = strict ? presented.guards() : undefined;
  if (!following) return sessionOf(connection, { sessionId, userId, strict });
  const { organizationId } = following;
  return foreseenSession(connection, { sessionId, userId, organizationId }).then(({ snapshot, ...live }) => {
    following.foresee(snapshot);
    return live;
  });
}

/** The token of `Authorization: Bearer …` (RFC 6750); another scheme is not meant for us. */
export function bearerIn({ authorization: header }: IncomingHttpHeaders): string | undefined {
  return header && /^bearer(?: |$)/i.test(header) ? header.slice(7).trim() : undefined;
}
