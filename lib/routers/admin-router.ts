import Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../middleware/answers.js';
import { authenticate } from '../middleware/authenticate.js';
import { endpoint } from '../middleware/endpoint.js';
import { query } from '../middleware/query.js';
import { requirePermission } from '../middleware/require-permission.js';
import { connectionOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { pageQuery } from '../runtime/page.js';
import { listAllOrganizations } from '../services/administration/list-all-organizations.js';
import type { ReadAdminOptions } from './admin/admin-options.js';
import { auditRoutes } from './admin/audit-routes.js';
import { grantRoutes } from './admin/grant-routes.js';
import { planRoutes } from './admin/plan-routes.js';
import { organizationSummary } from './admin/resources.js';
import { globalRoleRoutes } from './admin/role-routes.js';
import { userSessionRoutes } from './admin/session-routes.js';
import { subjectRoutes } from './admin/subject-routes.js';
import { userRoutes } from './admin/user-routes.js';
import { listOf } from './resources.js';

export interface AdminRouterOptions extends SharedOptions {
  /** The application's own fields of a user that administrators may write, each by its Joi schema. Default: none. */
  userFields?: Readonly<Record<string, Joi.Schema>> | undefined;
}

/**
 * What administrators do, under `/admin`: users with their sessions, global roles, organizations, plans and who is on them, the audit log. Each
 * route needs a permission of a global role; whom somebody may make, change and deactivate is for the management rules of their roles.
 *
 * @example app.use(adminRouter({ keys }).routes());
 */
export function adminRouter(options: AdminRouterOptions): Router {
  const shared = readOptions<Pick<ReadAdminOptions, 'userFields'>>('adminRouter', options, {
    ...signingKeys(),
    userFields: Joi.object().pattern(Joi.string(), Joi.object().schema()).default({}),
  });
  const router = new Router({ prefix: '/admin' });
  userRoutes(router, shared);
  userSessionRoutes(router, shared);
  globalRoleRoutes(router, shared);
  planRoutes(router, shared);
  subjectRoutes(router, shared);
  grantRoutes(router, shared);
  auditRoutes(router, shared);

  router.get(
    '/organizations',
    answers(200, listOf(organizationSummary)),
    endpoint(
      authenticate(shared),
      requirePermission('admin.organizations.read', { global: true }),
      query(...pageQuery),
      async function list(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        ctx.body = await listAllOrganizations({ limit, after, connection: connectionOf(ctx) });
      },
    ),
  );

  return router;
}
