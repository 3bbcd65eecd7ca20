import type { Next } from 'koa';
import { after } from '../runtime/after.js';
import { connectionOf, strictOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { type PlanDefinitions, requireFeatures } from '../services/plans/define-plans.js';
import { entitlementMissing, entitlementsNow } from '../services/plans/entitlements-of.js';
import type { SignedIn } from './authenticate.js';
import type { Guard } from './guard.js';
import { requireReach, type SubjectChoice, subjectChoice, subjectOf } from './subject-of.js';

/** What the entitlement guards add to `ctx.state`. */
export interface Entitled {
  /** The codes of the features that the subject's plan grants. */
  readonly entitlements: readonly string[];
  readonly tier: number;
  /** The limit of each feature of the plan; null: none. */
  readonly limits: Readonly<Record<string, number | null>>;
}

export interface EntitlementOptions extends SharedOptions {
  subject?: SubjectChoice | undefined;
}

/** What the three of them refuse with. */
export const entitlementRefusals = ['token_missing', 'entitlement_missing', 'permission_missing'] as const;

/** Of the codes that a guard names, those that the subject lacks and would need: one, a list, or null when it may pass. */
export type Lack = (granted: readonly string[]) => string | readonly string[] | null;

/** What the three entitlement guards do; they differ in what they make of the codes. */
export function entitle(
  ctx: Parameters<Guard<SignedIn, Entitled>>[0],
  next: Next,
  options: Pick<EntitlementOptions, 'connection' | 'subject'> & { readonly strict: boolean },
  lack: Lack,
): unknown {
  return after(subjectOf(ctx, options.subject, options.connection), (subject) => {
    requireReach(ctx, subject);
    const connection = connectionOf(ctx, options.connection);
    const strict = strictOf(ctx, options.strict);
    return after(entitlementsNow(connection, subject, strict), ({ entitlements, tier, limits }) => {
      const missing = lack(entitlements ?? []);
      if (missing !== null) return refuseFor(connection, { tier, missing, subject });
      Object.assign(ctx.state, { entitlements, tier, limits });
      return next();
    });
  });
}

async function refuseFor(...lacking: Parameters<typeof entitlementMissing>): Promise<never> {
  throw await entitlementMissing(...lacking);
}

/** What a guard is made with: `Codes` of features, behind the plans that have them where those are typed. */
export type EntitlementArguments<Codes> =
  | readonly [codes: Codes, options?: EntitlementOptions | undefined]
  | readonly [plans: PlanDefinitions, codes: Codes, options?: EntitlementOptions | undefined];

/** Validates what a guard was made with. */
export function readEntitlement<Codes>(name: string, args: EntitlementArguments<Codes>) {
  const [first] = args;
  const typed = typeof first === 'object' && first !== null && !Array.isArray(first);
  const [given, options = {}] = (typed ? args.slice(1) : args) as [Codes, EntitlementOptions?];
  const codes = [given].flat() as readonly unknown[];
  if (codes.length === 0 || !codes.every((code) => typeof code === 'string' && code)) {
    throw new TypeError(
      `${name}(): name entitlements by their codes: 'reports' where it takes one, ['reports', 'export'] where it takes several`,
    );
  }
  if (typed) requireFeatures(name, first as PlanDefinitions, codes as readonly string[]);
  const own = { subject: subjectChoice };
  return { codes: given, options: readOptions<{ subject: SubjectChoice | undefined }>(name, options, own) };
}
