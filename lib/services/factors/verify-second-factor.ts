import Joi from 'joi';
import type { Connection } from 'mongoose';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { liveToken, OneTimeTokens } from '../../models/one-time-token.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { Key } from '../../runtime/keyring.js';
import { readLinkToken } from '../../runtime/one-time-codes.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { guess } from '../identity/guessing-budget.js';
import { type SignedInSession, startSessionIn } from '../sessions/start-session.js';
import type { InterruptedSignIn } from './challenge-second-factor.js';
import { spendSecondFactor } from './spend-second-factor.js';
import { userNow } from './user-now.js';

export interface SecondFactor extends Origin {
  /** From the refusal `second_factor_required`. */
  readonly challenge: string;
  /** Six digits of an authenticator app, or a recovery code. */
  readonly code: string;
  /** Default: what the sign-in that was interrupted said. */
  readonly delivery?: 'cookie' | 'body' | undefined;
  /** The cookie of known devices. */
  readonly device?: string | undefined;
}

const own = {
  challenge: Joi.string().required(),
  code: Joi.string().required(),
  delivery: Joi.valid('cookie', 'body'),
  device: Joi.string(),
  ...originFields,
};

/**
 * Finishes a sign-in that was refused with `second_factor_required`. A wrong code leaves the challenge as it is; the right one
 * uses up both in the transaction that starts the session, so that one session comes of them.
 *
 * @throws {TollgateError} `token_used` (400) when the challenge is unknown, used or expired (10 minutes), or the user's
 *   credentials have changed since; `credentials_invalid` (401) for a code that is wrong or was used; `rate_limited` (429);
 *   `database_unavailable` (503)
 * @example const { accessToken } = await verifySecondFactor({ ...shared, challenge, code });
 */
export async function verifySecondFactor(
  input: SecondFactor & SharedOptions,
): Promise<SignedInSession & { readonly delivery: 'cookie' | 'body' }> {
  const given = readOptions<SecondFactor>('verifySecondFactor', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const challenge = await readChallenge(connection, given.challenge, given.keyring);
  const found = await userNow(connection, String(challenge.user));
  const { user } = found ?? {};
  if (!found || !user || (user.credentialEpoch ?? 0) !== challenge.credentialEpoch)
    throw refuse('token_used');
  const { code, keyring, ip, userAgent, requestId } = given;
  const use = { found, code, keyring, ip, userAgent, requestId };
  const { factors, delivery: first } = challenge.data as InterruptedSignIn;
  const delivery = given.delivery ?? first;
  const by = { ...given, connection, route: 'totp', account: user.email, failure: 'user.sign-in-failed' };
  const signedIn = await guess(by, () =>
    transaction(connection, async (session) => {
      const factor = await spendSecondFactor(connection, session, use);
      const redeemed = await OneTimeTokens(connection).redeem(challenge._id, 'second-factor', session);
      if (!redeemed) throw refuse('token_used'); // another answer came first: this code is not used up for nothing
      const start = { ...given, connection, user, factors: [...factors, factor], delivery };
      return startSessionIn(session, start);
    }),
  );
  return Object.freeze({ ...signedIn, delivery });
}

async function readChallenge(connection: Connection, text: string, keyring: readonly Key[]) {
  const id = readLinkToken('second-factor', text, keyring);
  const live = { _id: id, purpose: 'second-factor' as const, ...liveToken };
  const challenge = id && (await database(() => OneTimeTokens(connection).findOne(live).lean()));
  if (!challenge) throw refuse('token_used');
  return challenge;
}
