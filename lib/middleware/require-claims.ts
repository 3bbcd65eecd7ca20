import { isDeepStrictEqual } from 'node:util';
import { refuse } from '../errors.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';

/** What a claim must be: equal to a value (arrays and objects by their contents), or what a function answers `true` to. */
export type ClaimRule = string | number | boolean | object | ((value: unknown) => boolean);

/**
 * Lets a request through when the identity provider's claims about its user have all these names, each with a value other than
 * null; or, given a record, when each has that value or passes that function.
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 403 `claim_missing` (extra `requiredClaims`, the names) otherwise: our
 * own sessions and API keys have no claims.
 *
 * @example router.get('/lounge', requireClaims({ tier: 'gold' }), enter);
 */
export function requireClaims(
  claims: readonly string[] | Readonly<Record<string, ClaimRule>>,
): Guard<SignedIn> {
  const rules = rulesOf(claims);
  const requiredClaims = rules.map(([name]) => name);

  return described({ refuses: ['token_missing', 'claim_missing'] }, function requireClaims(ctx, next) {
    signedIn(ctx);
    const { claims } = ctx.state;
    const fits = ([name, rule]: Rule) => Object.hasOwn(claims, name) && satisfies(claims[name], rule);
    if (!rules.every(fits)) throw refuse('claim_missing', { requiredClaims });
    return next();
  });
}

type Rule = readonly [name: string, rule: ClaimRule];

const isPresent = (value: unknown): boolean => value !== null && value !== undefined;

/** A function must say `true` itself: a promise of it is not taken for one. */
const satisfies = (value: unknown, rule: ClaimRule): boolean =>
  typeof rule === 'function' ? rule(value) === true : isDeepStrictEqual(value, rule);

function rulesOf(claims: unknown): readonly Rule[] {
  const named = Array.isArray(claims) && claims.every((name) => typeof name === 'string' && name);
  const isRecord = Object.prototype.toString.call(claims) === '[object Object]';
  const rules: Rule[] = named
    ? claims.map((name) => [name, isPresent])
    : isRecord
      ? Object.entries(claims as object)
      : [];
  if (rules.length > 0 && rules.every(([, rule]) => isPresent(rule))) return rules;
  throw new TypeError(
    "requireClaims(): give names, or names with their values: requireClaims({ tier: 'gold' })",
  );
}
