import type { Connection } from 'mongoose';
import { refuse, type TollgateError } from '../../errors.js';
import { type StoredSubscription, Subscriptions } from '../../models/subscription.js';
import { opened } from '../../runtime/connection.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import { Snapshot, type Strictness } from '../../runtime/snapshot.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { type Catalogue, catalogue, offersMore, type Plan } from './catalogue.js';
import { isGranted, limitOf } from './features.js';

/** What a subject may use; all null when the application has no plans. Frozen: several requests share it. */
export interface Entitlements {
  readonly plan: Plan | null;
  /** The codes of the features that the plan grants, sorted. */
  readonly entitlements: readonly string[] | null;
  readonly tier: number | null;
  /** The limit of each feature of the plan; null: none. */
  readonly limits: Readonly<Record<string, number | null>> | null;
}

export interface EntitlementsOf {
  readonly subject: Subject;
  readonly connection?: Connection | undefined;
  /** True reads it from the database instead of remembering it. Default false. */
  readonly strict?: Strictness | undefined;
}

const known = freshCache<Entitlements>(50_000);
const nothing: Entitlements = Object.freeze({ plan: null, entitlements: null, tier: null, limits: null });

/**
 * What a subject may use: by its subscription, else by the default plan.
 *
 * Remembered for up to an hour, and read again as soon as its plan changes.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { entitlements } = await entitlementsOf({ subject: { type: 'user', id: user.id } });
 */
export async function entitlementsOf({ subject, ...rest }: EntitlementsOf): Promise<Entitlements> {
  const connection = opened(rest.connection);
  const key = subjectKey(subject);
  const seen = rest.strict instanceof Snapshot ? rest.strict.get(subscriptionsRead, key) : undefined;
  if (seen)
    return grantedBy(connection, (seen as ReadSubscription).subscription, await catalogue(connection));
  const load = async () => {
    const who = { 'subject.type': subject.type, 'subject.id': subject.id };
    const [subscription, plans] = await Promise.all([
      Subscriptions(connection).findOne(who, { plan: 1, planVersion: 1 }).lean(),
      catalogue(connection, rest.strict),
    ]);
    return grantedBy(connection, subscription, plans);
  };
  return known(connection).get(key, [key, 'plans'], load, rest.strict);
}

type Version = Pick<StoredSubscription, 'plan' | 'planVersion'>;

/** A subscription, or that there is none, as a snapshot has it under `subscriptionsRead` and the key of its subject. */
export interface ReadSubscription {
  readonly subscription: Version | undefined;
}
export const subscriptionsRead = Object.freeze({});

async function grantedBy(
  connection: Connection,
  subscription: Version | null | undefined,
  plans: Catalogue,
): Promise<Entitlements> {
  const isNew = subscription && !plans.version(subscription.plan, subscription.planVersion); // not heard of yet
  return granted(planIn(isNew ? await catalogue(connection, true) : plans, subscription));
}

/** The plan of a subscription in its own version, else the default plan. */
export function planIn(plans: Catalogue, subscription: Version | null | undefined): Plan | undefined {
  return (subscription && plans.version(subscription.plan, subscription.planVersion)) ?? plans.fallback;
}

function granted(plan: Plan | undefined): Entitlements {
  if (!plan) return nothing;
  const features = Object.entries(plan.features);
  const entitlements = features.filter(([, feature]) => isGranted(feature)).map(([code]) => code);
  const limits = Object.fromEntries(features.map(([code, feature]) => [code, limitOf(feature)]));
  return Object.freeze({
    plan,
    entitlements: Object.freeze(entitlements.sort()),
    tier: plan.tier,
    limits: Object.freeze(limits),
  });
}

/** The refusal of whoever's plan does not grant `missing`: one code, or several of which any or all are needed. */
export async function entitlementMissing(
  connection: Connection,
  { tier, missing }: { tier: number | null; missing: string | readonly string[] },
): Promise<TollgateError> {
  const offered = await Promise.all(
    [missing].flat().map((feature) => offersMore(connection, { tier, feature, than: 0 })),
  );
  const upgradeRequired = offered.includes(true);
  return refuse('entitlement_missing', { requiredEntitlement: missing, currentTier: tier, upgradeRequired });
}
