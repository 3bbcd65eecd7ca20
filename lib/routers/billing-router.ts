import Router from '@koa/router';
import { readOptions, type SharedOptions, verifyingKeys } from '../runtime/options.js';
import { usageRoutes } from './billing/usage-routes.js';

/**
 * What a user or an organization has used, under `/billing`: `GET /usage`. It is about the organization that `X-Organization-Id` names, where its user
 * needs `billing.read`, else about the user; never about an organization that is not named. The plans that can be had are `planRouter()`'s.
 *
 * Refuses with 401 `token_missing`, 404 `not_found` for an organization that the user is no member of, 403 `permission_missing`; 503 `database_unavailable`.
 *
 * @throws {TypeError} when an option is missing or wrong
 * @example app.use(billingRouter({ keys }).routes());
 */
export function billingRouter(options: SharedOptions): Router {
  const shared = readOptions('billingRouter', options, verifyingKeys());
  const router = new Router({ prefix: '/billing' });
  usageRoutes(router, shared);
  return router;
}
