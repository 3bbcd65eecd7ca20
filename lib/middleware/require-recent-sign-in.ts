import { refuse } from '../errors.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';

/** Seconds. */
const recent = 300;

/**
 * Lets a request through when its user proved who they are within the last `within` seconds (default 300), by a sign-in or
 * by `POST /auth/reauthenticate`. An API key proves nothing of the kind, nor does a sign-in elsewhere of which the provider does not say when
 * that was: it may have been silent.
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 401 `reauthentication_required` otherwise.
 *
 * @example router.post('/payout', requireRecentSignIn(), pay);
 */
export function requireRecentSignIn({
  within = recent,
}: {
  within?: number | undefined;
} = {}): Guard<SignedIn> {
  if (!Number.isInteger(within) || within < 1) {
    throw new TypeError('requireRecentSignIn(): option within must be a whole number of seconds, at least 1');
  }

  return described(
    { refuses: ['token_missing', 'reauthentication_required'] },
    function requireRecentSignIn(ctx, next) {
      refuseOldSignIn(ctx, within);
      return next();
    },
  );
}

/** The same for a handler in which something else may stand in for the recent sign-in. */
export function refuseOldSignIn(ctx: { readonly state: SignedIn }, within = recent): void {
  signedIn(ctx);
  const { session } = ctx.state;
  if (!session || session.silent || session.authenticatedAt.getTime() + within * 1000 <= Date.now()) {
    throw refuse('reauthentication_required', { detail: 'Send POST /auth/reauthenticate first' });
  }
}
