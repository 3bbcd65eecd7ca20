import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import type { UsageKey } from '../../models/usage.js';
import type { Terms } from '../../quota/batch.js';
import { after } from '../../runtime/after.js';
import type { Strictness } from '../../runtime/snapshot.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { entitlementMissing, entitlementsNow } from './entitlements-of.js';
import { creditsCode, type Meter, meteredBy } from './features.js';
import type { Entitlements } from './granted.js';

/** How units of a feature are counted for a subject. */
export interface Metering {
  readonly key: UsageKey;
  readonly terms: Terms;
  /** Units of the counter that one unit of the feature costs: more than 1 only where it is priced in credits. */
  readonly price: number;
  readonly tier: number | null;
}

/**
 * How a subject's plan counts a feature, at once where that is remembered: by an allowance of its own, or by what its units cost in credits.
 *
 * @throws {TollgateError} `entitlement_missing` (403) when the plan does not know the feature, `internal` (500) when it is a flag or a
 *   static limit, `database_unavailable` (503)
 */
export function meteringOf(
  connection: Connection,
  {
    subject,
    feature,
    strict,
  }: { readonly subject: Subject; readonly feature: string; readonly strict?: Strictness | undefined },
): Metering | Promise<Metering> {
  return after(entitlementsNow(connection, subject, strict), (entitlements) => {
    const { plan } = entitlements;
    const meter = plan ? meteredBy(plan, feature) : undefined;
    return meter
      ? metering(subject, meter, entitlements)
      : notCounted(connection, subject, feature, entitlements);
  });
}

async function notCounted(
  connection: Connection,
  subject: Subject,
  feature: string,
  { tier, limits }: Entitlements,
): Promise<never> {
  if (limits && Object.hasOwn(limits, feature)) {
    throw refuse('internal', {
      detail: `The feature ${feature} is no allowance; give it { limit, per } or { credits } in the plan`,
    });
  }
  throw await entitlementMissing(connection, { tier, missing: feature, subject });
}

/** The same for what is known to be counted. */
export function metering(subject: Subject, meter: Meter, entitlements: Entitlements): Metering {
  const { code, allowance, price } = meter;
  const { per, rollover, overage } = allowance;
  const { limits, tier, version, anchor } = entitlements;
  const own = limits && Object.hasOwn(limits, code) ? limits[code] : undefined;
  const terms = {
    limit: own === undefined ? 0 : own, // of credits that are only ever granted
    per,
    version,
    ...(anchor && { anchor }),
    ...(overage && { overage: overage.cap === 'unlimited' ? null : overage.cap }),
    ...(rollover && { rollover: { cap: rollover.cap, periods: rollover.periods ?? 1 } }),
  };
  return { key: { s: subjectKey(subject), f: code }, terms, price, tier };
}

/** What `amount` units of a feature cost of its counter. */
export function costOf(amount: number, { price }: Metering): number {
  const cost = amount * price;
  if (Number.isSafeInteger(cost)) return cost;
  const message = `must cost no more than 2^53 - 1 ${creditsCode}`;
  throw refuse('validation_failed', { errors: [{ path: 'amount', message }] });
}

/** The codes of what a plan counts: allowances, and `credits` also where they are only granted. */
export function meteredCodes({ plan }: Entitlements): readonly string[] {
  if (!plan) return [];
  const codes = Object.keys(plan.features).flatMap((code) => meteredBy(plan, code)?.code ?? []);
  return [...new Set(codes)].sort();
}

/** How the counter of `code` is kept, where that is one of `meteredCodes`. */
export function counterOf(subject: Subject, code: string, entitlements: Entitlements): Metering | undefined {
  const { plan } = entitlements;
  if (!plan) return undefined;
  const meters = Object.keys(plan.features).map((feature) => meteredBy(plan, feature));
  const meter = meters.find((each) => each?.code === code);
  return meter && metering(subject, { ...meter, price: 1 }, entitlements);
}
