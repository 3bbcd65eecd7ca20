import type Router from '@koa/router';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { findUser } from '../../services/administration/find-user.js';
import { listSessions } from '../../services/sessions/list-sessions.js';
import { revokeSessions } from '../../services/sessions/revoke-sessions.js';
import { done } from '../answers.js';
import { listOf, sessionResource } from '../resources.js';
import { byActor } from './by-actor.js';

/** The sessions of any user. */
export function userSessionRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const manage = requirePermission('admin.users.manage', { global: true });

  router.get(
    '/users/:userId/sessions',
    answers(200, listOf(sessionResource), 'not_found'),
    endpoint(signedIn, manage, query(...pageQuery), async function list(ctx) {
      const { limit, cursor: after } = ctx.state.query;
      const connection = connectionOf(ctx);
      const { id: userId } = await findUser(connection, ctx.params.userId as string);
      const { items, nextCursor } = await listSessions({ userId, connection, limit, after });
      const own = ctx.state.session?.id;
      ctx.body = { items: items.map((session) => ({ ...session, current: session.id === own })), nextCursor };
    }),
  );

  router.delete(
    '/users/:userId/sessions',
    answers(204, null, 'not_found'),
    endpoint(signedIn, manage, query({}), async function endAll(ctx) {
      const { id: userId } = await findUser(connectionOf(ctx), ctx.params.userId as string);
      await revokeSessions({ ...byActor(ctx, shared), userId });
      done(ctx);
    }),
  );

  router.delete(
    '/users/:userId/sessions/:sessionId',
    answers(204, null, 'not_found'),
    endpoint(signedIn, manage, query({}), async function endOne(ctx) {
      const { userId, sessionId } = ctx.params as { userId: string; sessionId: string };
      await revokeSessions({ ...byActor(ctx, shared), userId, sessionId });
      done(ctx);
    }),
  );
}
