import Router from '@koa/router';
import { answers } from '../middleware/answers.js';
import { endpoint } from '../middleware/endpoint.js';
import { query } from '../middleware/query.js';
import { connectionOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { pageQuery } from '../runtime/page.js';
import { listPlans, planOf } from '../services/plans/list-plans.js';
import { planResource } from './billing/resources.js';
import { listOf } from './resources.js';

/**
 * The plans that can be had, for anyone to see, under `/billing/plans`: `GET /` lists them, the lowest tier first, `GET /:code` shows one.
 *
 * Refuses with 404 `not_found` where there is no such plan, or it is archived; 503 `database_unavailable`.
 *
 * @example app.use(planRouter().routes());
 */
export function planRouter(options: SharedOptions = {}): Router {
  const shared = readOptions('planRouter', options);
  const router = new Router({ prefix: '/billing/plans' });

  router.get(
    '/',
    answers(200, listOf(planResource)),
    endpoint(query(...pageQuery), async function list(ctx) {
      const { limit, cursor: after } = ctx.state.query;
      const connection = connectionOf(ctx, shared.connection);
      ctx.body = await listPlans({ limit, after, archived: false, connection });
    }),
  );

  router.get(
    '/:code',
    answers(200, planResource, 'not_found'),
    endpoint(query({}), async function show(ctx) {
      const connection = connectionOf(ctx, shared.connection);
      ctx.body = await planOf({ code: ctx.params.code as string, archived: false, connection });
    }),
  );

  return router;
}
