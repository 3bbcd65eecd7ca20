import type { Connection } from 'mongoose';
import { refuse, type TollgateError } from '../../errors.js';
import { OneTimeTokens } from '../../models/one-time-token.js';
import { database } from '../../runtime/database.js';
import type { Key } from '../../runtime/keyring.js';
import { linkToken } from '../../runtime/one-time-codes.js';
import type { FoundUser } from '../sessions/start-session.js';

/** Seconds in which the code must come. */
const ttl = 600;

/** What a challenge remembers of the sign-in that it interrupted. */
export interface InterruptedSignIn {
  readonly factors: readonly string[];
  readonly delivery: 'cookie' | 'body';
}

const secondFactors: readonly string[] = ['totp', 'recovery', 'passkey'];

/** Whether somebody who proved `factors` must prove another: the user has a TOTP, and none of them is as good. */
export const needsSecondFactor = ({ totp, status }: FoundUser, factors: readonly string[]): boolean =>
  Boolean(totp?.confirmedAt) &&
  status !== 'inactive' &&
  !factors.some((factor) => secondFactors.includes(factor));

/** The refusal of a sign-in that needs a second factor: 401 `second_factor_required` with the `challenge` to answer. */
export async function challengeSecondFactor(
  connection: Connection,
  keyring: readonly Key[],
  { _id: user, credentialEpoch = 0 }: FoundUser,
  { factors, delivery }: InterruptedSignIn,
): Promise<TollgateError> {
  const data = { factors: [...factors], delivery };
  const facts = { purpose: 'second-factor', user, credentialEpoch, data, ttl } as const;
  const id = await database(() => OneTimeTokens(connection).issue(facts));
  const challenge = linkToken('second-factor', id, keyring);
  const detail = 'Send POST /auth/second-factor with the challenge and a code';
  return refuse('second_factor_required', { detail, challenge });
}
