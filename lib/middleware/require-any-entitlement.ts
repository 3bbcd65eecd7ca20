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
 * Lets a request through when the plan of its subject grants at least one of `codes`. Refuses like `requireEntitlement()`,
 * with all of them as `requiredEntitlement`.
 *
 * @example api.get('/exports', organization(), requireAnyEntitlement(['csv', 'excel']), download);
 */
export function requireAnyEntitlement<const P extends PlanDefinitions>(
  plans: P,
  codes: readonly FeatureOf<P>[],
  options?: EntitlementOptions,
): Guard<SignedIn, Entitled>;
export function requireAnyEntitlement(
  codes: readonly string[],
  options?: EntitlementOptions,
): Guard<SignedIn, Entitled>;
export function requireAnyEntitlement(
  ...args: EntitlementArguments<readonly string[]>
): Guard<SignedIn, Entitled> {
  const { codes, options } = readEntitlement<readonly string[]>('requireAnyEntitlement', args);

  return described({ refuses: entitlementRefusals }, function requireAnyEntitlement(ctx, next) {
    const lack = (granted: readonly string[]) =>
      codes.some((code) => granted.includes(code)) ? null : codes;
    return entitle(ctx, next, options, lack);
  });
}
