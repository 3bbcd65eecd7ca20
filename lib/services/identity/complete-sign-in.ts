import { challengeSecondFactor, needsSecondFactor } from '../factors/challenge-second-factor.js';
import type { SessionStart, SignedInSession } from '../sessions/start-session.js';
import { startSession } from '../sessions/start-session.js';

/**
 * Ends every kind of sign-in: starts the session of a user whose `factors` have been verified.
 *
 * @throws {TollgateError} `second_factor_required` (401, extra `challenge`) when the user has a TOTP and has not proved it
 */
export async function completeSignIn(start: SessionStart): Promise<SignedInSession> {
  const { connection, keyring, user, factors, delivery = 'cookie' } = start;
  if (needsSecondFactor(user, factors))
    throw await challengeSecondFactor(connection, keyring, user, { factors, delivery });
  return startSession(start);
}
