import { checkOptions } from '../../runtime/options.js';
import { type Allowance, type CreditPrice, featureOf, type PlanDefinition, plansSchema } from './features.js';

/** Plans by their codes. */
export type PlanDefinitions = Readonly<Record<string, PlanDefinition>>;

/** Each plan's features: a union that conditional types go through one by one. */
type Features<P extends PlanDefinitions> = P[keyof P]['features'];

/** The codes of every feature that any of the plans has. */
export type FeatureOf<P extends PlanDefinitions> = Features<P> extends infer F ? KeysOf<F> : never;
type KeysOf<F> = F extends unknown ? keyof F & string : never;

/** The codes of those that any of the plans counts: allowances and prices in credits. */
export type MeteredFeature<P extends PlanDefinitions> = Features<P> extends infer F ? Metered<F> : never;
type Metered<F> = F extends unknown
  ? { [K in keyof F & string]: F[K] extends Allowance | CreditPrice ? K : never }[keyof F & string]
  : never;

/**
 * Plans as code, whose features the compiler knows: `quota(plans, 'imagse')` does not compile, nor does `quota(plans, 'reports')`
 * where that is a flag. Nothing is stored: give them to `syncPlans`.
 *
 * @returns the same plans, frozen
 * @throws {TypeError} when a definition is wrong, naming the path: also a key that a feature does not have
 * @example const plans = definePlans({ free: { name: 'Free', tier: 0, default: true, features: { images: { limit: 10, per: 'month' } } } });
 */
export function definePlans<const P extends PlanDefinitions>(plans: P): P {
  checkOptions('definePlans', { plans }, { plans: plansSchema }, () => 'plans');
  return frozen(plans);
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const each of Object.values(value)) frozen(each);
  return Object.freeze(value);
}

const has = (plan: PlanDefinition, code: string): boolean => featureOf(plan, code) !== undefined;

/** Refuses codes that none of the plans has, in the way that is asked for; `factory` says who is made with them. */
export function requireFeatures(
  factory: string,
  plans: PlanDefinitions,
  codes: readonly string[],
  holds: (plan: PlanDefinition, code: string) => boolean = has,
): void {
  const unknown = codes.find((code) => !Object.values(plans).some((plan) => holds(plan, code)));
  if (unknown !== undefined) throw new TypeError(`${factory}(): no plan has such a feature: ${unknown}`);
}
