import Joi from 'joi';
import { refuse } from '../errors.js';
import { after } from '../runtime/after.js';
import { connectionOf, strictOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { isPlainCode } from '../services/roles/permission-code.js';
import { holds, rightsOf } from '../services/roles/rights-of.js';
import { inScope } from '../services/tenancy/permits.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { type Description, described } from './described.js';
import type { Guard } from './guard.js';
import type { MaybeInOrganization } from './organization.js';
import { requireReach } from './subject-of.js';

export interface PermissionOptions extends SharedOptions {
  /** True counts global roles alone, also where the request is about an organization: for what concerns the whole application. Default false. */
  global?: boolean | undefined;
}

/**
 * Lets a request through when its user holds the permission `codes`, or all of several: by a global role, or by their role in the organization where
 * `organization()` is upstream and found one. An API key must have it among its scopes too, unless it has none; a key for one organization only
 * counts there. Roles are remembered until they change (`strict`: read for every request).
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 403 `permission_missing` (extra `requiredPermission`), 503 `database_unavailable`.
 *
 * @example router.post('/projects', organization(), requirePermission('projects.write'), create);
 */
export function requirePermission(
  codes: string | readonly [string, ...string[]],
  options: PermissionOptions = {},
): Guard<SignedIn> {
  const needed = [codes].flat();
  if (needed.length === 0 || !needed.every(isPlainCode)) {
    throw new TypeError(
      "requirePermission(): name one permission code or a list of them, without wildcards: requirePermission('projects.write')",
    );
  }
  const read = readOptions<{ global: boolean }>('requirePermission', options, {
    global: Joi.boolean().default(false),
  });

  const told: Description = { refuses: ['token_missing', 'permission_missing'], scope: needed };

  return described(told, function requirePermission(ctx, next) {
    const { id: userId } = signedIn(ctx);
    const scopes = ctx.state.apiKey?.scopes ?? [];
    const { organization } = ctx.state as Partial<MaybeInOrganization>;
    const organizationId = read.global ? undefined : organization?.id;
    requireReach(
      ctx,
      organizationId ? { type: 'organization', id: organizationId } : { type: 'user', id: userId },
    );
    const connection = connectionOf(ctx, read.connection);
    const which = { userId, organizationId, strict: strictOf(ctx, read.strict) };
    return after(rightsOf(connection, which), (rights) => {
      const missing = needed.find((code) => !holds(rights, code) || !inScope(scopes, code));
      if (missing !== undefined) throw refuse('permission_missing', { requiredPermission: missing });
      return next();
    });
  });
}
