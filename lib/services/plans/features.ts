import Joi from 'joi';
import { type Period, periods } from '../../models/usage.js';

/** So many units in each period. */
export interface Allowance {
  /** `'unlimited'` counts without refusing. */
  readonly limit: number | 'unlimited';
  /** Calendar periods in UTC; `'billing'` are months from the subject's anchor. */
  readonly per: Period;
  /** What is left at a period's end stays usable in the next `periods` (default 1, 24 at most), `cap` units of it at most. */
  readonly rollover?: { readonly cap: number; readonly periods?: number | undefined } | undefined;
  /** Units that a period grants beyond its limit, to be charged for; without it nothing is. */
  readonly overage?: { readonly cap: number | 'unlimited' } | undefined;
}

/** What one unit costs in credits: units of the allowance, and of the balances, of the feature `credits`. */
export interface CreditPrice {
  readonly credits: number;
}

/** What a plan says of a feature: a flag, a static limit such as the number of projects, an allowance, or a price in credits. */
export type Feature = true | number | Allowance | CreditPrice;

/** A plan as code: what `syncPlans` stores. */
export interface PlanDefinition {
  readonly name: string;
  /** A higher tier is an upgrade. */
  readonly tier: number;
  /** True for the plan of every subject that has no other. Exactly one. */
  readonly default?: boolean | undefined;
  readonly features: Readonly<Record<string, Feature>>;
}

/** The feature that prices in credits are paid from. */
export const creditsCode = 'credits';

/** Codes of plans and features. */
export const codePattern = /^[a-z][a-z0-9-]{0,63}$/;

export const units = Joi.number().integer().min(0).max(Number.MAX_SAFE_INTEGER);
const some = units.min(1);
/** What a period leaves over is a balance of its own for as long: each write of the counter looks at all of them. */
const longest = some.max(24);

const so = (then: Joi.Schema, otherwise?: Joi.Schema) => ({ then, ...(otherwise && { otherwise }) });

/** The schema of a plan's features; `unlimited` is how they may write that. */
export function featuresSchema<F = Feature>(
  ...unlimited: [unknown, ...unknown[]]
): Joi.ObjectSchema<Readonly<Record<string, F>>> {
  const endless = Joi.valid(...unlimited);
  const carried = Joi.object({ cap: some.required(), periods: longest });
  const beyond = Joi.object({ cap: Joi.alternatives(some, endless).required() });
  const allowance = Joi.object({
    limit: Joi.alternatives(units, endless).required(),
    per: Joi.valid(...periods).required(),
    rollover: carried
      .when('limit', { is: endless.required(), ...so(Joi.forbidden()) })
      .when('per', { is: 'lifetime', ...so(Joi.forbidden()) }),
    overage: beyond.when('limit', { is: endless.required(), ...so(Joi.forbidden()) }),
  });
  const priced = Joi.object({ credits: Joi.exist() }).unknown().required();
  const simple = Joi.alternatives(Joi.valid(true), units);
  const feature = Joi.alternatives()
    .conditional(priced, so(Joi.object({ credits: some.required() })))
    .conditional(Joi.object().unknown().required(), so(allowance, simple));
  return Joi.object<Readonly<Record<string, F>>>({ [creditsCode]: allowance }).pattern(codePattern, feature);
}

export const planName = Joi.string().max(100);
export const planTier = Joi.number().integer().min(0).max(Number.MAX_SAFE_INTEGER);

export const planSchema = Joi.object({
  name: planName.required(),
  tier: planTier.required(),
  default: Joi.boolean(),
  features: featuresSchema('unlimited').required(),
});

const oneDefault: Joi.CustomValidator = (plans: Readonly<Record<string, PlanDefinition>>, helpers) =>
  Object.values(plans).filter((plan) => plan.default).length > 1
    ? helpers.message({ custom: 'must mark one plan as default at most' })
    : plans;

/** Plans by code. */
export const plansSchema = Joi.object().pattern(codePattern, planSchema).required().custom(oneDefault);

/** What a plan says of a feature; nothing is inherited. */
export const featureOf = (plan: Pick<PlanDefinition, 'features'>, code: string): Feature | undefined =>
  Object.hasOwn(plan.features, code) ? plan.features[code] : undefined;

export const isAllowance = (feature: Feature | undefined): feature is Allowance =>
  typeof feature === 'object' && 'limit' in feature;

const isPrice = (feature: Feature | undefined): feature is CreditPrice =>
  typeof feature === 'object' && 'credits' in feature;

/** The number that bounds a feature; null where nothing of its own does. */
export function limitOf(feature: Feature): number | null {
  if (typeof feature === 'number') return feature;
  return isAllowance(feature) && feature.limit !== 'unlimited' ? feature.limit : null;
}

/** Whether a limit can be said of a feature: a number, or an allowance. */
export const isLimited = (feature: Feature | undefined): boolean =>
  typeof feature === 'number' || isAllowance(feature);

/** Where the units of a feature are counted. */
export interface Meter {
  /** The code of the allowance: the feature's own, or `credits`. */
  readonly code: string;
  readonly allowance: Allowance;
  /** Units of the allowance that one unit of the feature costs. */
  readonly price: number;
}

/** A plan that prices in credits, but allows none: they are bought, or granted. */
const none: Allowance = Object.freeze({ limit: 0, per: 'lifetime' });

/** How a plan counts a feature; undefined when it does not know it, or it is a flag or a static limit. */
export function meteredBy(plan: Pick<PlanDefinition, 'features'>, code: string): Meter | undefined {
  const feature = featureOf(plan, code);
  if (isAllowance(feature)) return { code, allowance: feature, price: 1 };
  if (!isPrice(feature)) return undefined;
  const credits = featureOf(plan, creditsCode);
  return { code: creditsCode, allowance: isAllowance(credits) ? credits : none, price: feature.credits };
}
