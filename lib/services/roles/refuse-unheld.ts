import { refuse } from '../../errors.js';
import { inScope, permits } from '../tenancy/permits.js';

/**
 * Refuses a grant of `wanted` by somebody who holds `held`, or by an API key of theirs with `scopes`: nobody gives what they lack, wildcards included.
 *
 * @throws {TollgateError} `permission_missing` (403, extra `requiredPermission`) with the first code that is lacking
 */
export function refuseUnheld(
  held: readonly string[],
  wanted: readonly string[],
  scopes: readonly string[] = [],
): void {
  const lacking = wanted.find((code) => !permits(held, code) || !inScope(scopes, code));
  if (lacking === undefined) return;
  throw refuse('permission_missing', {
    detail: `Nobody can grant ${lacking} without holding it`,
    requiredPermission: lacking,
  });
}
