import type Router from '@koa/router';
import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import type { ShownApiKey } from '../../services/api-keys/as-api-key.js';
import { apiKeyFields, apiKeyName, createApiKey } from '../../services/api-keys/create-api-key.js';
import { deleteApiKey } from '../../services/api-keys/delete-api-key.js';
import { listApiKeys } from '../../services/api-keys/list-api-keys.js';
import { longestOverlap, rotateApiKey } from '../../services/api-keys/rotate-api-key.js';
import { done, originOf } from '../answers.js';
import { isoDate } from '../iso-date.js';
import { apiKeyResource, listOf, newApiKeyResource } from '../resources.js';

/** One's API keys: a session makes, lists and deletes them; no key can make another. */
export function apiKeyRoutes(router: Router, shared: ReadSharedOptions): void {
  const bySession = authenticate({ ...shared, accept: ['session'] });

  router.get(
    '/api-keys',
    endpoint(
      bySession,
      query(...pageQuery),
      answers(200, listOf(apiKeyResource(shared))),
      async function listOwn(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        const { id: userId } = ctx.state.user;
        const page = await listApiKeys({ userId, connection: connectionOf(ctx), limit, after });
        ctx.body = { ...page, items: page.items.map((each) => shared.showApiKey(each)) };
      },
    ),
  );

  router.post(
    '/api-keys',
    endpoint(
      body({ name: apiKeyName }, { ...apiKeyFields, expiresAt: isoDate }),
      bySession,
      answers(201, newApiKeyResource(shared), 'not_found', 'session_revoked', 'conflict', 'overloaded'),
      async function create(ctx) {
        const who = { userId: ctx.state.user.id, sessionId: ctx.state.session.id };
        const where = { ...originOf(ctx, shared), connection: connectionOf(ctx) };
        show(ctx, await createApiKey({ ...shared, ...where, ...ctx.request.body, ...who }), shared);
      },
    ),
  );

  router.delete(
    '/api-keys/:id',
    endpoint(bySession, query({}), answers(204, null, 'not_found'), async function remove(ctx) {
      const { id: userId } = ctx.state.user;
      const apiKeyId = ctx.params.id as string;
      await deleteApiKey({ ...originOf(ctx, shared), userId, apiKeyId, connection: connectionOf(ctx) });
      done(ctx);
    }),
  );

  router.post(
    '/api-keys/:id/rotate',
    endpoint(
      body({ overlap: Joi.number().integer().min(0).max(longestOverlap).default(0) }),
      bySession,
      answers(201, newApiKeyResource(shared), 'not_found', 'session_revoked', 'conflict', 'overloaded'),
      async function rotate(ctx) {
        const who = { userId: ctx.state.user.id, sessionId: ctx.state.session.id };
        const where = { ...originOf(ctx, shared), connection: connectionOf(ctx) };
        const which = { ...ctx.request.body, apiKeyId: ctx.params.id as string };
        show(ctx, await rotateApiKey({ ...where, ...who, ...which }), shared);
      },
    ),
  );
}

/** The only answer with the key in it. */
function show(
  ctx: ParameterizedContext,
  { key, ...apiKey }: ShownApiKey,
  { showApiKey }: ReadSharedOptions,
): void {
  ctx.status = 201;
  ctx.set('Location', ctx.path.replace(/(\/api-keys)(\/.*)?$/, `$1/${apiKey.id}`));
  ctx.set('Cache-Control', 'no-store');
  ctx.body = { ...showApiKey(apiKey), key };
}
