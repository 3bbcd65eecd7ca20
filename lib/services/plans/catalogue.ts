import type { ClientSession, Connection, Types } from 'mongoose';
import { Plans, type StoredPlan } from '../../models/plan.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import type { Strictness } from '../../runtime/snapshot.js';
import { type Feature, featureOf, limitOf, meteredBy } from './features.js';

/** A version of a plan with its features as they are typed in code. */
export type Plan = Omit<StoredPlan, 'features'> & {
  readonly _id: Types.ObjectId;
  readonly features: Readonly<Record<string, Feature>>;
};

export interface Catalogue {
  /** Of each plan its newest version, the lowest tier first. */
  readonly newest: readonly Plan[];
  /** Those that can be had. */
  readonly current: readonly Plan[];
  /** The plan of whoever has no subscription; undefined when none is marked so. */
  readonly fallback: Plan | undefined;
  /** Grows with every change of any plan. */
  readonly generation: number;
  version(code: string, version: number): Plan | undefined;
  /** Whether any version of any plan has a feature. */
  has(feature: string): boolean;
  /** Whether any version of any plan counts it by itself: as an allowance, or as the credits that others are priced in. */
  counts(feature: string): boolean;
}

const catalogues = freshCache<Catalogue>(1);

/** Every stored plan, remembered until one changes: an application has a handful. */
export function catalogue(
  connection: Connection,
  strict: Strictness = false,
): Catalogue | Promise<Catalogue> {
  return catalogues(connection).get('plans', ['plans'], () => readCatalogue(connection), strict);
}

/** Every stored plan as the transaction of `session` sees it. */
export async function readCatalogue(connection: Connection, session?: ClientSession): Promise<Catalogue> {
  const found = Plans(connection)
    .find({}, null, { session: session ?? null })
    .sort({ code: 1, version: 1 });
  const plans = (await found.lean()) as unknown as Plan[];
  const newest = [...new Map(plans.map((plan) => [plan.code, plan])).values()].sort(
    (one, other) => one.tier - other.tier, // stable: by code within a tier
  );
  const versions = new Map(plans.map((plan) => [`${plan.code} ${plan.version}`, plan]));
  const features = new Set(plans.flatMap((plan) => Object.keys(plan.features)));
  const counted = new Set(
    plans.flatMap((plan) => Object.keys(plan.features).map((code) => meteredBy(plan, code)?.code)),
  );
  return {
    newest,
    current: newest.filter(({ active }) => active),
    fallback: newest.find((plan) => plan.default),
    generation: Math.max(0, ...plans.map(({ generation }) => generation)),
    version: (code, version) => versions.get(`${code} ${version}`),
    has: (feature) => features.has(feature),
    counts: (feature) => counted.has(feature),
  };
}

/** Whether a plan above `tier` that can be had allows more than `than` units of a feature. */
export async function offersMore(
  connection: Connection,
  { tier, feature: code, than }: { tier: number | null; feature: string; than: number },
): Promise<boolean> {
  const { current } = await catalogue(connection);
  return current.some((plan) => {
    const feature = featureOf(plan, code);
    if (feature === undefined || plan.tier <= (tier ?? -1)) return false;
    return (limitOf(feature) ?? Number.POSITIVE_INFINITY) > than;
  });
}
