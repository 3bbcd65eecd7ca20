import { refuse } from '../errors.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';

/**
 * Lets a request through when its user holds at least one of `roles`.
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 403 `role_missing` (extra `requiredRoles`) otherwise.
 *
 * @example router.delete('/users/:id', requireRole('admin'), remove);
 */
export function requireRole(...roles: [string, ...string[]]): Guard<SignedIn> {
  if (roles.length === 0 || !roles.every((role) => typeof role === 'string' && role)) {
    throw new TypeError("requireRole(): name one role or several, each a text: requireRole('admin')");
  }

  return described({ refuses: ['token_missing', 'role_missing'] }, function requireRole(ctx, next) {
    const user = signedIn(ctx);
    if (!roles.some((role) => user.roles.includes(role)))
      throw refuse('role_missing', { requiredRoles: roles });
    return next();
  });
}
