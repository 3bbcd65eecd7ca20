import { refuse } from '../errors.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';

/**
 * Lets a request through when its user has proved to own their e-mail address.
 *
 * Refuses with 401 `token_missing` when nobody is signed in, 403 `email_unverified` otherwise.
 *
 * @example router.post('/invitations/accept', requireVerifiedEmail(), accept);
 */
export function requireVerifiedEmail(): Guard<SignedIn> {
  return described(
    { refuses: ['token_missing', 'email_unverified'] },
    function requireVerifiedEmail(ctx, next) {
      if (!signedIn(ctx).emailVerified) throw refuse('email_unverified');
      return next();
    },
  );
}
