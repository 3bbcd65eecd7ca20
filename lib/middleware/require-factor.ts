import { refuse } from '../errors.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';

/**
 * What kind of proof a factor is (NIST SP 800-63B): something that one knows, or something that one has. An account elsewhere
 * stands for the password that it is entered by. A factor that is not listed, such as an unknown one of Stytch, is of no kind.
 */
const kinds: Readonly<Record<string, readonly string[]>> = {
  password: ['known'],
  oauth: ['known'],
  sso: ['known'],
  otp: ['had'],
  magic_link: ['had'],
  totp: ['had'],
  recovery: ['had'],
  recovery_codes: ['had'],
  passkey: ['had', 'known'], // we take none that did not verify its user, by a PIN or a finger
};

/**
 * Lets a request through when its session was begun, or proved again since, by at least one of `factors`: `password`, `otp` (a
 * code by mail), `totp`, `recovery`, `passkey`, `oauth`, one of Stytch's, or `mfa`, which means two of different kinds: what one
 * knows (`password`, `oauth`) and what one has (`otp`, `totp`, `recovery`); a passkey alone is both.
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 403 `factor_missing` (extra `requiredFactors`) otherwise. An API key
 * has no factors.
 *
 * @example router.post('/payouts', requireFactor('mfa'), pay);
 */
export function requireFactor(...factors: [string, ...string[]]): Guard<SignedIn> {
  if (factors.length === 0 || !factors.every((factor) => typeof factor === 'string' && factor)) {
    throw new TypeError("requireFactor(): name one factor or several, each a text: requireFactor('mfa')");
  }

  return described({ refuses: ['token_missing', 'factor_missing'] }, function requireFactor(ctx, next) {
    signedIn(ctx);
    const proved = ctx.state.factors;
    const has = (factor: string) => (factor === 'mfa' ? isMultiFactor(proved) : proved.includes(factor));
    if (!factors.some(has)) throw refuse('factor_missing', { requiredFactors: factors });
    return next();
  });
}

const isMultiFactor = (factors: readonly string[]): boolean =>
  new Set(factors.flatMap((factor) => (Object.hasOwn(kinds, factor) ? (kinds[factor] ?? []) : []))).size > 1;
