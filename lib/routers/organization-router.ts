import Router from '@koa/router';
import { answers } from '../middleware/answers.js';
import { authenticate } from '../middleware/authenticate.js';
import { endpoint } from '../middleware/endpoint.js';
import { query } from '../middleware/query.js';
import { requireScope } from '../middleware/require-scope.js';
import { connectionOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions, verifyingKeys } from '../runtime/options.js';
import { pageQuery } from '../runtime/page.js';
import { listOrganizations } from '../services/tenancy/list-organizations.js';
import { listOf, organizationResource } from './resources.js';

/**
 * Organizations, under `/organizations`: so far the list of one's own.
 *
 * @example app.use(organizationRouter({ keys }).routes());
 */
export function organizationRouter(options: SharedOptions): Router {
  const shared = readOptions('organizationRouter', options, verifyingKeys());
  const router = new Router({ prefix: '/organizations' });

  router.get(
    '/',
    endpoint(
      authenticate(shared),
      requireScope('organizations.read'),
      query(...pageQuery),
      answers(200, listOf(organizationResource)),
      async function listOwn(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        ctx.body = await listOrganizations({
          userId: ctx.state.user.id,
          only: ctx.state.apiKey?.organizationId,
          connection: connectionOf(ctx),
          limit,
          after,
        });
      },
    ),
  );

  return router;
}
