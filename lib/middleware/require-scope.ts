import { refuse } from '../errors.js';
import { inScope } from '../services/tenancy/permits.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';

/**
 * Lets a request through unless it comes by an API key that has scopes, none of which covers the permission `code`: `images.*`
 * covers `images.write`, and every other code below `images.`. Sessions pass, and keys without scopes: what their user
 * may do is for other guards.
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 403 `permission_missing` (extra `requiredPermission`) otherwise.
 *
 * @example router.post('/images', requireScope('images.write'), create);
 */
export function requireScope(code: string): Guard<SignedIn> {
  if (typeof code !== 'string' || !/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$/.test(code)) {
    throw new TypeError(
      "requireScope(): name one permission code, without a wildcard: requireScope('images.write')",
    );
  }

  return described(
    { refuses: ['token_missing', 'permission_missing'], scope: code },
    function requireScope(ctx, next) {
      signedIn(ctx);
      const { apiKey } = ctx.state;
      if (apiKey && !inScope(apiKey.scopes, code)) {
        throw refuse('permission_missing', { requiredPermission: code });
      }
      return next();
    },
  );
}
