import type { FeatureOf, PlanDefinitions } from '../services/plans/define-plans.js';
import type { SignedIn } from './authenticate.js';
import { described } from './described.js';
import {
  type Entitled,
  type EntitlementArguments,
  type EntitlementOptions,
  entitle,
  entitlementRefusals,
  readEntitlement,
} from './entitlement-guard.js';
import type { Guard } from './guard.js';

/**
 * Lets a request through when the plan of its subject (by default the organization, else the user) grants `code`. With the plans of
 * `definePlans()` before it a code that none of them has does not compile, and is a TypeError.
 *
 * Refuses with 401 `token_missing`; 403 `entitlement_missing` (extras `requiredEntitlement`, `currentTier`,
 * `upgradeRequired`), also where the application has no plans, and where no plan
 * has such a feature, which the audit log tells once an hour (`entitlement.unknown`); 503 `database_unavailable`.
 *
 * @example api.get('/reports', organization(), requireEntitlement('reports'), list);
 * @example api.get('/reports', organization(), requireEntitlement(plans, 'reports'), list);
 */
export function requireEntitlement<const P extends PlanDefinitions>(
  plans: P,
  code: FeatureOf<P>,
  options?: EntitlementOptions,
): Guard<SignedIn, Entitled>;
export function requireEntitlement(code: string, options?: EntitlementOptions): Guard<SignedIn, Entitled>;
export function requireEntitlement(...args: EntitlementArguments<string>): Guard<SignedIn, Entitled> {
  const { codes: code, options } = readEntitlement<string>('requireEntitlement', args);

  return described({ refuses: entitlementRefusals }, function requireEntitlement(ctx, next) {
    return entitle(ctx, next, options, (granted) => (granted.includes(code) ? null : code));
  });
}
