import type { Plan } from './catalogue.js';
import { type Allowance, type Feature, isAllowance } from './features.js';

/** A feature as clients see it: unlimited is null. */
export type ShownFeature = Exclude<Feature, Allowance> | ShownAllowance;

export interface ShownAllowance extends Omit<Allowance, 'limit' | 'overage'> {
  readonly limit: number | null;
  readonly overage?: { readonly cap: number | null } | undefined;
}

/** A plan as clients see it. */
export interface ShownPlan {
  readonly code: string;
  readonly name: string;
  readonly tier: number;
  readonly features: Readonly<Record<string, ShownFeature>>;
  /** None: nothing is sold yet. */
  readonly prices: { readonly month?: number; readonly year?: number };
  readonly currency: string | null;
  readonly trialDays: number | null;
  /** Whether whoever has no other plan is on this one. */
  readonly default: boolean;
  /** False: archived; only those who are on it already keep it. */
  readonly active: boolean;
  readonly version: number;
}

export function asPlan({ code, name, tier, features, default: isDefault, active, version }: Plan): ShownPlan {
  const shown = Object.entries(features).map(([code, feature]) => [code, asFeature(feature)]);
  const sale = { prices: {}, currency: null, trialDays: null };
  return {
    code,
    name,
    tier,
    features: Object.fromEntries(shown),
    ...sale,
    default: isDefault,
    active,
    version,
  };
}

const orNull = (units: number | 'unlimited'): number | null => (units === 'unlimited' ? null : units);

export function asFeature(feature: Feature): ShownFeature {
  if (!isAllowance(feature)) return feature;
  const { limit, overage, ...rest } = feature;
  return { ...rest, limit: orNull(limit), ...(overage && { overage: { cap: orNull(overage.cap) } }) };
}

const orUnlimited = (units: number | 'unlimited' | null) => units ?? 'unlimited';

/** What a client has written, with null for unlimited, as it is stored. */
export function readFeatures(
  shown: Readonly<Record<string, ShownFeature>>,
): Readonly<Record<string, Feature>> {
  const read = Object.entries(shown).map(([code, feature]) => [code, readFeature(feature)]);
  return Object.fromEntries(read);
}

function readFeature(shown: ShownFeature): Feature {
  if (typeof shown !== 'object' || !('limit' in shown)) return shown;
  const { limit, overage, ...rest } = shown;
  return {
    ...rest,
    limit: orUnlimited(limit),
    ...(overage && { overage: { cap: orUnlimited(overage.cap) } }),
  };
}
