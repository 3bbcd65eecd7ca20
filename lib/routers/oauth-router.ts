import Router from '@koa/router';
import Joi from 'joi';
import { requireSameOrigin } from '../middleware/require-same-origin.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { providersOf } from '../services/federation/provider.js';
import type { Provision } from '../services/federation/sign-in-by-identity.js';
import { oauthRoutes } from './auth/oauth-routes.js';
import type { OAuthShared } from './auth/oauth-shared.js';
import { providerRoutes } from './auth/provider-routes.js';
import { telegramRoutes } from './auth/telegram-routes.js';

export interface OAuthOptions extends SharedOptions {
  /** Whether somebody who signs in elsewhere, and has no account here, gets one. Default true. */
  autoProvision?: boolean | undefined;
  /** Gives the application's own fields of a user who is made. Needed where some of them are required. */
  provision?: Provision | undefined;
}

/**
 * Sign-in at the `providers` under `/auth/oauth`, and the list of linked accounts under `/auth/providers`.
 *
 * State, nonce and PKCE are always used, each state is good once and for ten minutes, in the browser that it was made for. Providers
 * send browsers back to `<publicUrl>/auth/oauth/:provider/callback`: register that.
 *
 * @throws {TypeError} also when there are providers and no `publicUrl`
 * @example app.use(oauthRouter({ keys, publicUrl, providers: { google: { clientId, clientSecret } } }).routes());
 */
export function oauthRouter(options: OAuthOptions): Router {
  const own = {
    ...signingKeys(),
    autoProvision: Joi.boolean().default(true),
    provision: Joi.function().default(() => () => ({})),
  };
  const read = readOptions<Pick<OAuthShared, 'autoProvision' | 'provision'>>('oauthRouter', options, own);
  const redirecting = providersOf(read.providers, read.publicUrl ?? '');
  if (redirecting.size > 0 && !read.publicUrl) {
    throw new TypeError(
      'oauthRouter(): option publicUrl is required with providers: they send browsers back to it',
    );
  }
  const shared = { ...read, redirecting };
  const router = new Router({ prefix: '/auth' });
  router.use(requireSameOrigin(shared));
  for (const add of [telegramRoutes, oauthRoutes, providerRoutes]) add(router, shared); // `telegram` before `:provider`
  return router;
}
