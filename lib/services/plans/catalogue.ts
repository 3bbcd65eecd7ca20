import type { Connection } from 'mongoose';
import { Plans, type StoredPlan } from '../../models/plan.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import type { Strictness } from '../../runtime/snapshot.js';
import { type Feature, featureOf, limitOf } from './features.js';

/** A version of a plan with its features as they are typed in code. */
export type Plan = Omit<StoredPlan, 'features'> & { readonly features: Readonly<Record<string, Feature>> };

export interface Catalogue {
  /** Of each plan the version in force. */
  readonly current: readonly Plan[];
  /** The plan of whoever has no subscription; undefined when none is marked so. */
  readonly fallback: Plan | undefined;
  version(code: string, version: number): Plan | undefined;
}

const catalogues = freshCache<Catalogue>(1);

/** Every stored plan, remembered until one changes: an application has a handful. */
export function catalogue(
  connection: Connection,
  strict: Strictness = false,
): Catalogue | Promise<Catalogue> {
  const load = async (): Promise<Catalogue> => {
    const plans = (await Plans(connection).find().sort({ code: 1, version: 1 }).lean()) as unknown as Plan[];
    const current = [...new Map(plans.map((plan) => [plan.code, plan])).values()].filter(
      ({ active }) => active,
    );
    const fallback = current.find((plan) => plan.default);
    const versions = new Map(plans.map((plan) => [`${plan.code} ${plan.version}`, plan]));
    return { current, fallback, version: (code, version) => versions.get(`${code} ${version}`) };
  };
  return catalogues(connection).get('plans', ['plans'], load, strict);
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
