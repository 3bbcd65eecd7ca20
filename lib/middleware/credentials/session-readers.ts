import type { IncomingHttpHeaders } from 'node:http';
import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { accessTokenVerifier } from '../../runtime/access-tokens.js';
import { cookieIn, cookieName } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { sessionOf } from '../../services/sessions/session-of.js';
import type { CredentialReader, Found } from './credential-of.js';
import { noClaims } from './signed-in.js';

/** Read access tokens: that of the session cookie, which goes first, and that of `Authorization: Bearer`. */
export function sessionReaders(options: ReadSharedOptions): readonly CredentialReader[] {
  const verify = accessTokenVerifier(options);
  const cookie = cookieName('access_token', options.cookies);

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
    function byCookie({ headers, strict }, connection) {
      const token = cookieIn(headers, cookie);
      return token === undefined ? undefined : found(connection, { token, ambient: true, strict });
    },
    function byBearer({ headers, strict }, connection) {
      const token = bearerIn(headers);
      return token === undefined ? undefined : found(connection, { token, ambient: false, strict });
    },
  ];
}

/** The token of `Authorization: Bearer …` (RFC 6750); another scheme is not meant for us. */
export function bearerIn({ authorization: header }: IncomingHttpHeaders): string | undefined {
  return header && /^bearer(?: |$)/i.test(header) ? header.slice(7).trim() : undefined;
}
