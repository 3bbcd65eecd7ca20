import Joi from 'joi';
import type { Connection } from 'mongoose';
import { Denials, type StoredDenial } from '../../models/denial.js';
import { readSubject } from '../../models/read-subject.js';
import { Reservations } from '../../models/reservation.js';
import type { UsageKey } from '../../models/usage.js';
import { counterNow } from '../../quota/counter-now.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { type Subject, subjectKey, subjectSchema } from '../../runtime/subject.js';
import { asFeature, type ShownFeature } from '../plans/as-plan.js';
import { entitlementsOf } from '../plans/entitlements-of.js';
import { featureOf, meteredBy } from '../plans/features.js';
import { metering } from '../plans/metering.js';
import { asUsage, type FeatureUsage } from './as-usage.js';

export interface Explain {
  subject: Subject;
  feature: string;
}

/** Why a subject may use a feature, or may not. */
export interface Explanation {
  readonly feature: string;
  /**
   * `granted`: there are units, or it is a flag or a limit above 0; `used_up`: the next unit would be refused; `not_in_plan`: there is no
   * such feature, or a limit of 0.
   */
  readonly verdict: 'granted' | 'used_up' | 'not_in_plan';
  /** Null: the application has no plans. */
  readonly plan: { readonly code: string; readonly version: number; readonly tier: number } | null;
  /** When the plan ends; null: it does not. */
  readonly planEndsAt: Date | null;
  /** What the plan says of the feature, as `activePlan` shows it; null: nothing. */
  readonly definition: ShownFeature | null;
  /** The limit that goes before the plan's, for this subject alone; undefined: there is none; null: none limits. */
  readonly override?: number | null | undefined;
  /** Units of the counter that one unit costs: more than 1 where it is priced in credits. */
  readonly price: number | null;
  /** Where the counter stands; null where nothing is counted. Its feature may be `credits`. */
  readonly usage: (FeatureUsage & { readonly startedAt: Date }) | null;
  /** Reservations that hold units now. */
  readonly holds: readonly { readonly id: string; readonly units: number; readonly expiresAt: Date }[];
  /** The last ten refusals for want of units, the latest first; one appears about a second later. */
  readonly denials: readonly StoredDenial[];
}

const own = { subject: subjectSchema.required(), feature: Joi.string().max(64).required() };

/** Holds that are listed. */
const most = 100;

/**
 * Why the answer to a subject that wants a feature is what it is: its plan and version, what that says, overrides, the counter with its
 * period and balances, open reservations, and the last refusals. For support; it counts and changes nothing.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { verdict, usage, denials } = await explain({ subject: { type: 'organization', id }, feature: 'images' });
 */
export async function explain(input: Explain & SharedOptions): Promise<Explanation> {
  const { feature, ...given } = readOptions<Explain>('explain', input, own);
  const connection = opened(given.connection);
  const subject = readSubject(connection, given.subject);
  const entitlements = await entitlementsOf({ subject, connection, strict: true });
  const { plan, limits, overrides, expiresAt: planEndsAt } = entitlements;
  const defined = plan ? featureOf(plan, feature) : undefined;
  const definition = defined === undefined ? null : asFeature(defined);
  const meter = plan ? meteredBy(plan, feature) : undefined;
  const facts = {
    feature,
    plan: plan && { code: plan.code, version: plan.version, tier: plan.tier },
    planEndsAt,
    definition,
    ...(Object.hasOwn(overrides, feature) && { override: overrides[feature] }),
  };
  if (!meter) {
    const granted = definition !== null && limits?.[feature] !== 0;
    return {
      ...facts,
      verdict: granted ? 'granted' : 'not_in_plan',
      price: null,
      usage: null,
      holds: [],
      denials: [],
    };
  }
  const { key, terms, price } = metering(subject, meter, entitlements);
  const [counter, holds, denials] = await Promise.all([
    counterNow(connection, { key, terms }),
    holdsOf(connection, subject, key),
    denialsOf(connection, subject, key),
  ]);
  const { capacity, used } = counter;
  const verdict = capacity === null || used + price <= capacity ? 'granted' : 'used_up';
  return {
    ...facts,
    verdict,
    price,
    usage: { ...asUsage(key.f, counter), startedAt: counter.from },
    holds,
    denials,
  };
}

async function holdsOf(
  connection: Connection,
  subject: Subject,
  { f }: UsageKey,
): Promise<Explanation['holds']> {
  const mine = { 'subject.type': subject.type, 'subject.id': subject.id, counter: f, state: 'held' as const };
  const found = await database(() =>
    Reservations(connection).find(mine).sort({ expiresAt: 1 }).limit(most).lean(),
  );
  return found.map(({ _id, amount, price, expiresAt }) => ({
    id: String(_id),
    units: amount * price,
    expiresAt,
  }));
}

async function denialsOf(
  connection: Connection,
  subject: Subject,
  { f }: UsageKey,
): Promise<readonly StoredDenial[]> {
  const which = { subject: subjectKey(subject), feature: f };
  const found = await database(() => Denials(connection).findOne(which, { last: 1 }).lean());
  return [...((found?.last ?? []) as StoredDenial[])].reverse();
}
