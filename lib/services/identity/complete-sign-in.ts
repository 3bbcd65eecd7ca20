import type { SessionStart, SignedInSession } from '../sessions/start-session.js';
import { startSession } from '../sessions/start-session.js';

/** Ends every kind of sign-in: starts the session of a user whose `factors` have been verified. */
export function completeSignIn(start: SessionStart): Promise<SignedInSession> {
  return startSession(start);
}
