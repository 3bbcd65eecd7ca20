import type Router from '@koa/router';
import Joi from 'joi';
import type { Next, ParameterizedContext } from 'koa';
import { refuse } from '../../errors.js';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { described } from '../../middleware/described.js';
import { endpoint } from '../../middleware/endpoint.js';
import type { Guard } from '../../middleware/guard.js';
import { query } from '../../middleware/query.js';
import { accessTokenVerifier } from '../../runtime/access-tokens.js';
import { connectionOf } from '../../runtime/connection.js';
import { readCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import type { Session } from '../../services/sessions/as-session.js';
import { listSessions } from '../../services/sessions/list-sessions.js';
import { refreshSession } from '../../services/sessions/refresh-session.js';
import { readRefreshToken } from '../../services/sessions/refresh-token.js';
import { revokeSessions } from '../../services/sessions/revoke-sessions.js';
import { signOut } from '../../services/sessions/sign-out.js';
import { done, originOf } from '../answers.js';
import { checkResource, listOf, sessionResource, signedInResource } from '../resources.js';
import { answerTokens, clearSessionCookies, delivery } from './answer-signed-in.js';

/** Tells of the cookie of the refresh token, which may as well be in the body. */
const byCookie: Guard = described({ reads: ['refreshCookie'], optional: true }, (_ctx, next) => next());

/** Refresh, sign-out and check. */
export function sessionRoutes(router: Router, shared: ReadSharedOptions): void {
  const verify = accessTokenVerifier(shared);

  router.post(
    '/refresh',
    byCookie,
    body({}, { refreshToken: Joi.string().max(512), ...delivery }),
    answers(
      200,
      signedInResource(shared),
      'token_missing',
      'token_invalid',
      'session_revoked',
      'user_inactive',
    ),
    async function refresh(ctx) {
      const { refreshToken: inBody } = ctx.request.body;
      const refreshToken = inBody ?? readCookie(ctx, 'refresh_token', shared.cookies);
      if (!refreshToken) throw refuse('token_missing');
      const connection = connectionOf(ctx, shared.connection);
      const by = inBody === undefined ? 'cookie' : 'body';
      const input = { ...shared, ...originOf(ctx, shared), connection, refreshToken, delivery: by } as const;
      answerTokens(ctx, await refreshSession(input), by, shared);
    },
  );

  router.post(
    '/sign-out',
    described({ reads: ['cookie', 'bearer', 'refreshCookie'], optional: true }, clearCookies),
    body({}, { everywhere: Joi.valid(true) as Joi.AnySchema<true>, refreshToken: Joi.string().max(512) }),
    answers(204, null),
    async function out(ctx) {
      const { everywhere, refreshToken } = ctx.request.body;
      const connection = connectionOf(ctx, shared.connection);
      for (const sessionId of sessionIdsOf(ctx, refreshToken))
        await signOut({ ...originOf(ctx, shared), sessionId, everywhere, connection });
      done(ctx);
    },
  );

  router.post(
    '/check',
    endpoint(body({}), authenticate(shared), answers(200, checkResource(shared)), async function check(ctx) {
      const { user, session } = ctx.state;
      const current = session && { ...session, current: true };
      ctx.body = { authenticated: true, user: shared.showUser(user), session: current };
    }),
  );

  /** Comes first: whatever else is wrong with the request, the browser forgets its tokens. */
  async function clearCookies(ctx: ParameterizedContext, next: Next) {
    clearSessionCookies(ctx, shared);
    await next();
  }

  /** The sessions that a request's tokens belong to, expired access tokens aside: a refresh token still tells. */
  function sessionIdsOf(ctx: ParameterizedContext, inBody: string | undefined): Set<string> {
    const bearer = /^bearer (.+)$/i.exec(ctx.get('Authorization'))?.[1];
    const access = [readCookie(ctx, 'access_token', shared.cookies), bearer];
    const refresh = [readCookie(ctx, 'refresh_token', shared.cookies), inBody];
    const ids = [
      ...access.map((token) => token && verify(token)?.sid),
      ...refresh.map((token) => token && readRefreshToken(token, shared.keyring)?.family),
    ];
    return new Set(ids.flatMap((id) => id || []));
  }
}

/** The list of one's sessions, and their end. */
export function sessionListRoutes(router: Router, shared: ReadSharedOptions): void {
  const bySession = authenticate({ ...shared, accept: ['session'] });

  router.get(
    '/sessions',
    endpoint(
      query(...pageQuery),
      bySession,
      answers(200, listOf(sessionResource)),
      async function listOwn(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        const { id: userId } = ctx.state.user;
        const { items, nextCursor } = await listSessions({
          userId,
          connection: connectionOf(ctx),
          limit,
          after,
        });
        const current = (session: Session) => ({ ...session, current: session.id === ctx.state.session.id });
        ctx.body = { items: items.map(current), nextCursor };
      },
    ),
  );

  router.delete(
    '/sessions',
    endpoint(query({}), bySession, answers(204, null), async function revokeOthers(ctx) {
      const { user, session } = ctx.state;
      const connection = connectionOf(ctx);
      await revokeSessions({ ...originOf(ctx, shared), userId: user.id, except: session.id, connection });
      done(ctx);
    }),
  );

  router.delete(
    '/sessions/:id',
    endpoint(query({}), bySession, answers(204, null, 'not_found'), async function revokeOne(ctx) {
      const { id: userId } = ctx.state.user;
      const sessionId = ctx.params.id as string;
      await revokeSessions({ ...originOf(ctx, shared), userId, sessionId, connection: connectionOf(ctx) });
      done(ctx);
    }),
  );
}
