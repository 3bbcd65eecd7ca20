import type { SubscriptionNow } from '../../models/subscription.js';
import type { Catalogue, Plan } from './catalogue.js';
import { isLimited, limitOf } from './features.js';

/** What a subject may use; plan to limits are null when the application has no plans. Frozen: several requests share it. */
export interface Entitlements {
  /** As it is defined: `limits` has what is overridden for the subject. */
  readonly plan: Plan | null;
  /** The codes of the features that the subject may use at all, sorted. */
  readonly entitlements: readonly string[] | null;
  readonly tier: number | null;
  /** The limit of each feature of the plan; null: none. */
  readonly limits: Readonly<Record<string, number | null>> | null;
  /** Limits that go before those of the plan, where it has the feature. */
  readonly overrides: Readonly<Record<string, number | null>>;
  /** Grows with everything that changes what the subject may use, so that older knowledge can be told from newer. */
  readonly version: number;
  /** What months of billing are counted from; null: the subject never had a plan of its own. */
  readonly anchor: Date | null;
  /** When the plan ends, and the default plan follows; null: it does not. */
  readonly expiresAt: Date | null;
}

type OfPlan = Pick<SubscriptionNow, 'plan' | 'planVersion' | 'msLeft'>;

const isOver = ({ msLeft }: Pick<SubscriptionNow, 'msLeft'>): boolean => msLeft !== null && msLeft <= 0;

/** The plan of a subscription in its own version, unless that has ended; else the default plan. */
export function planIn(plans: Catalogue, subscription: OfPlan | undefined): Plan | undefined {
  const { plan, planVersion } = subscription && !isOver(subscription) ? subscription : {};
  return (plan && planVersion ? plans.version(plan, planVersion) : undefined) ?? plans.fallback;
}

/** What a subject may use by its subscription, as that was read. */
export function granted(plans: Catalogue, subscription: SubscriptionNow | undefined): Entitlements {
  const plan = planIn(plans, subscription);
  const over = subscription ? isOver(subscription) : false;
  const overrides = Object.freeze({ ...subscription?.overrides });
  const limits = plan ? limitsOf(plan, overrides) : null;
  const codes = limits && Object.keys(limits).filter((code) => limits[code] !== 0);
  const changes = (subscription?.version ?? 0) + (over ? 1 : 0);
  return Object.freeze({
    plan: plan ?? null,
    entitlements: codes && Object.freeze(codes.sort()),
    tier: plan?.tier ?? null,
    limits,
    overrides,
    version: changes * 1_000_000 + plans.generation,
    anchor: subscription ? (subscription.anchor ?? subscription.createdAt) : null,
    expiresAt: (over ? null : subscription?.expiresAt) ?? null,
  });
}

function limitsOf({ features }: Plan, overrides: Entitlements['overrides']) {
  const entries = Object.entries(features).map(([code, feature]) => {
    const isOverridden = isLimited(feature) && Object.hasOwn(overrides, code);
    return [code, isOverridden ? (overrides[code] ?? null) : limitOf(feature)] as const;
  });
  return Object.freeze(Object.fromEntries(entries));
}
