import type { SignedIn } from './authenticate.js';
import { described } from './described.js';
import {
  type Entitled,
  type EntitlementOptions,
  entitle,
  entitlementRefusals,
  readEntitlement,
} from './entitlement-guard.js';
import type { Guard } from './guard.js';

/**
 * Lets a request through when the plan of its subject (by default the organization, else the user) grants `code`.
 *
 * Refuses with 401 `token_missing`; 403 `entitlement_missing` (extras `requiredEntitlement`, `currentTier`,
 * `upgradeRequired`), also where the application has no plans; 503 `database_unavailable`.
 *
 * @example api.get('/reports', organization(), requireEntitlement('reports'), list);
 */
export function requireEntitlement(
  code: string,
  options: EntitlementOptions = {},
): Guard<SignedIn, Entitled> {
  const read = readEntitlement('requireEntitlement', [code], options);

  return described({ refuses: entitlementRefusals }, async function requireEntitlement(ctx, next) {
    await entitle(ctx, read, (granted) => (granted.includes(code) ? null : code));
    await next();
  });
}
