import Joi from 'joi';
import { type Period, periods } from '../../models/usage.js';

/** So many units in each period; `'unlimited'` counts without refusing. */
export interface Allowance {
  readonly limit: number | 'unlimited';
  readonly per: Period;
}

/** What a plan says of a feature: a flag, a static limit such as the number of projects, or an allowance. */
export type Feature = true | number | Allowance;

/** A plan as code: what `syncPlans` stores. */
export interface PlanDefinition {
  readonly name: string;
  /** A higher tier is an upgrade. */
  readonly tier: number;
  /** True for the plan of every subject that has no other. Exactly one. */
  readonly default?: boolean | undefined;
  readonly features: Readonly<Record<string, Feature>>;
}

const units = Joi.number().integer().min(0).max(Number.MAX_SAFE_INTEGER);

/** Codes of plans and features. */
export const codePattern = /^[a-z][a-z0-9-]{0,63}$/;

export const planSchema = Joi.object({
  name: Joi.string().max(100).required(),
  tier: Joi.number().integer().min(0).required(),
  default: Joi.boolean(),
  features: Joi.object()
    .pattern(
      codePattern,
      Joi.alternatives(
        Joi.valid(true),
        units,
        Joi.object({
          limit: [units.required(), Joi.valid('unlimited').required()],
          per: Joi.valid(...periods).required(),
        }),
      ),
    )
    .required(),
});

/** What a plan says of a feature; nothing is inherited. */
export const featureOf = (plan: Pick<PlanDefinition, 'features'>, code: string): Feature | undefined =>
  Object.hasOwn(plan.features, code) ? plan.features[code] : undefined;

export const isAllowance = (feature: Feature | undefined): feature is Allowance =>
  typeof feature === 'object';

/** The number that bounds a feature; null where nothing does. */
export function limitOf(feature: Feature): number | null {
  if (typeof feature === 'number') return feature;
  return feature === true || feature.limit === 'unlimited' ? null : feature.limit;
}

/** True when the feature lets its holder do anything at all. */
export const isGranted = (feature: Feature): boolean => limitOf(feature) !== 0;
