import Router from '@koa/router';
import Joi from 'joi';
import { requireSameOrigin } from '../middleware/require-same-origin.js';
import type { Fields } from '../middleware/validation.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { accountRoutes } from './auth/account-routes.js';
import { apiKeyRoutes } from './auth/api-key-routes.js';
import { factorRoutes, totpRoutes } from './auth/factor-routes.js';
import { type AuthFeatures, featuresOf, featuresSchema } from './auth/features.js';
import { otpRoutes } from './auth/otp-routes.js';
import { passkeyRoutes } from './auth/passkey-routes.js';
import { passwordResetRoutes, passwordRoutes } from './auth/password-routes.js';
import { emailRoutes, profileRoutes } from './auth/profile-routes.js';
import { sessionListRoutes, sessionRoutes } from './auth/session-routes.js';
import { signUpRoutes } from './auth/sign-up-routes.js';

export interface AuthRouterOptions extends SharedOptions {
  /** What is switched on or off; what is off has no route. */
  features?: AuthFeatures | undefined;
  /** The application's own fields that users may write themselves, at sign-up and in their profile, each by its Joi schema. Default: none. */
  userFields?: Readonly<Record<string, Joi.Schema>> | undefined;
}

/**
 * Everything about who is asking, under `/auth`: sign-up, sign-in by password, code, authenticator and passkey, sessions, profile, API keys, and
 * the end of the account. `features` switches parts of it off.
 *
 * @example app.use(authRouter({ keys }).routes());
 */
export function authRouter(options: AuthRouterOptions): Router {
  const shared = readOptions<{ features: AuthFeatures; userFields: Fields }>('authRouter', options, {
    ...signingKeys(),
    features: featuresSchema,
    userFields: Joi.object().pattern(Joi.string(), Joi.object().schema()).default({}),
  });
  const features = featuresOf(shared.features, shared);
  const router = new Router({ prefix: '/auth' });
  router.use(requireSameOrigin(shared));
  sessionRoutes(router, shared);
  if (features.has('sessions')) sessionListRoutes(router, shared);
  if (features.has('password')) passwordRoutes(router, shared);
  if (features.has('signUp')) signUpRoutes(router, shared, shared.userFields);
  if (features.has('passwordReset')) passwordResetRoutes(router, shared);
  if (features.has('otp')) otpRoutes(router, shared);
  factorRoutes(router, shared); // whoever has a second factor is asked for it, also where nobody can get one any more
  if (features.has('totp')) totpRoutes(router, shared);
  if (features.has('passkeys')) passkeyRoutes(router, shared);
  if (features.has('apiKeys')) apiKeyRoutes(router, shared);
  if (features.has('profile')) profileRoutes(router, shared, shared.userFields);
  if (features.has('emailChange')) emailRoutes(router, shared);
  if (features.has('account')) accountRoutes(router, shared, features);
  return router;
}
