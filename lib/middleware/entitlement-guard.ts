import { connectionOf, strictOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { entitlementMissing, entitlementsOf } from '../services/plans/entitlements-of.js';
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
export async function entitle(
  ctx: Parameters<Guard<SignedIn, Entitled>>[0],
  options: Pick<EntitlementOptions, 'connection' | 'subject'> & { readonly strict: boolean },
  lack: Lack,
): Promise<void> {
  const subject = await subjectOf(ctx, options.subject);
  requireReach(ctx, subject);
  const connection = connectionOf(ctx, options.connection);
  const strict = strictOf(ctx, options.strict);
  const { entitlements, tier, limits } = await entitlementsOf({ subject, connection, strict });
  const missing = lack(entitlements ?? []);
  if (missing !== null) throw await entitlementMissing(connection, { tier, missing });
  Object.assign(ctx.state, { entitlements, tier, limits });
}

/** Validates what a guard was made with. */
export function readEntitlement(name: string, codes: readonly string[], options: EntitlementOptions) {
  if (
    !Array.isArray(codes) ||
    codes.length === 0 ||
    !codes.every((code) => typeof code === 'string' && code)
  ) {
    throw new TypeError(
      `${name}(): name entitlements by their codes: 'reports' where it takes one, ['reports', 'export'] where it takes several`,
    );
  }
  return readOptions<{ subject: SubjectChoice | undefined }>(name, options, { subject: subjectChoice });
}
