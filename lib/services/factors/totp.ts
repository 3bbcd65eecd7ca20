import { verifySync } from 'otplib';

/** How many codes before and after the present one count, for a clock that is off or a code that was typed late. */
const tolerance = 30;

/** What the secret of a user is sealed for: it opens in no other account. */
export const totpPurpose = (userId: unknown): string => `totp secret of ${userId}`;

/**
 * The time step of which `code` is the code (RFC 6238: SHA-1, six digits, 30 seconds), or null when it is the code of none
 * from the step before `now` to the one after, or of one that is not later than `after`.
 */
export function timeStepOf({
  secret,
  code,
  now,
  after,
}: {
  /** In base32. */
  readonly secret: string;
  readonly code: string;
  readonly now: Date;
  readonly after: number;
}): number | null {
  if (!isTotp(code)) return null;
  const epoch = Math.floor(now.getTime() / 1000);
  const found = verifySync({ secret, token: code, epoch, epochTolerance: tolerance, afterTimeStep: after });
  return found.valid && 'timeStep' in found ? found.timeStep : null;
}

/** Whether a text is a code of this kind, and not a recovery code. */
export const isTotp = (code: string): boolean => /^\d{6}$/.test(code);
