import Router from '@koa/router';
import { requireSameOrigin } from '../middleware/require-same-origin.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { passwordRoutes } from './auth/password-routes.js';
import { sessionRoutes } from './auth/session-routes.js';

/**
 * Sign-in, refresh, sign-out and the list of one's sessions, under `/auth`.
 *
 * @example app.use(authRouter({ keys }).routes());
 */
export function authRouter(options: SharedOptions): Router {
  const shared = readOptions('authRouter', options, signingKeys());
  const router = new Router({ prefix: '/auth' });
  router.use(requireSameOrigin(shared));
  for (const add of [sessionRoutes, passwordRoutes]) add(router, shared);
  return router;
}
