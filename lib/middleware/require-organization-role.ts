import { refuse } from '../errors.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { type Description, described } from './described.js';
import type { Guard } from './guard.js';
import type { InOrganization, MaybeInOrganization } from './organization.js';

/**
 * Lets a request through when its user has one of `roles` in the organization that it is about. Needs `organization()` upstream.
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 400 `organization_required` where an optional `organization()` found none, 403
 * `role_missing` (extra `requiredRoles`) otherwise; 500 `internal` without `organization()`.
 *
 * @example router.delete('/projects/:id', organization(), requireOrganizationRole('owner', 'admin'), remove);
 */
export function requireOrganizationRole(...roles: [string, ...string[]]): Guard<SignedIn & InOrganization> {
  if (roles.length === 0 || !roles.every((role) => typeof role === 'string' && role)) {
    throw new TypeError(
      "requireOrganizationRole(): name one role or several, each a text: requireOrganizationRole('owner')",
    );
  }

  const told: Description = { refuses: ['token_missing', 'organization_required', 'role_missing'] };

  return described(told, function requireOrganizationRole(ctx, next) {
    signedIn(ctx);
    const { membership } = ctx.state as Partial<MaybeInOrganization>;
    if (membership === undefined) {
      throw refuse('internal', {
        detail: 'requireOrganizationRole() needs organization() before it on this route',
      });
    }
    if (!membership)
      throw refuse('organization_required', { detail: 'Name one in the header X-Organization-Id' });
    if (!roles.includes(membership.role)) throw refuse('role_missing', { requiredRoles: roles });
    return next();
  });
}
