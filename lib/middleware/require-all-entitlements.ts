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
 * Lets a request through when the plan of its subject grants every one of `codes`. Refuses like `requireEntitlement()`, with
 * those that are missing as `requiredEntitlement`.
 *
 * @example api.post('/audits', organization(), requireAllEntitlements(['reports', 'export']), start);
 */
export function requireAllEntitlements<const P extends PlanDefinitions>(
  plans: P,
  codes: readonly FeatureOf<P>[],
  options?: EntitlementOptions,
): Guard<SignedIn, Entitled>;
export function requireAllEntitlements(
  codes: readonly string[],
  options?: EntitlementOptions,
): Guard<SignedIn, Entitled>;
export function requireAllEntitlements(
  ...args: EntitlementArguments<readonly string[]>
): Guard<SignedIn, Entitled> {
  const { codes, options } = readEntitlement<readonly string[]>('requireAllEntitlements', args);

  return described({ refuses: entitlementRefusals }, function requireAllEntitlements(ctx, next) {
    return entitle(ctx, next, options, (granted) => {
      const missing = codes.filter((code) => !granted.includes(code));
      return missing.length === 0 ? null : missing;
    });
  });
}
