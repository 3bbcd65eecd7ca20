import Joi from 'joi';
import type { Connection } from 'mongoose';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { isTollgateError, refuse } from '../../errors.js';
import { Users } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { HashingClient } from '../../runtime/hashing.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  signingKeys,
} from '../../runtime/options.js';
import type { FoundUser, SignedInSession } from '../sessions/start-session.js';
import { emailSchema } from './canonical-email.js';
import { completeSignIn } from './complete-sign-in.js';
import { clearGuesses, guess, hashingClientOf } from './guessing-budget.js';
import { hashPassword, isOutdated, verifyPassword } from './password.js';

export interface Credentials extends Origin {
  email: string;
  password: string;
  /** How the refresh token will reach the client, fixed for the session's life. Default `cookie`. */
  delivery?: 'cookie' | 'body' | undefined;
  /** The cookie of known devices: they have a guessing budget of their own. */
  device?: string | undefined;
}

const own = {
  email: emailSchema.required(),
  password: Joi.string().max(256).required(),
  delivery: Joi.valid('cookie', 'body'),
  device: Joi.string(),
  ...originFields,
};

/**
 * Signs a user in by password and starts a session.
 *
 * An unknown address, a wrong password and a deactivated user are refused alike, after the same work. A password change
 * at the same time wins: the session is only made while the credentials are those that were verified.
 *
 * @throws {TollgateError} `credentials_invalid` (401), `second_factor_required` (401), `email_unverified` (403, only after the
 *   right password), `rate_limited` (429), `overloaded` (503), `database_unavailable` (503)
 * @example const { user, accessToken } = await signIn({ email, password, keys: [secret] });
 */
export async function signIn(input: Credentials & SharedOptions): Promise<SignedInSession> {
  const given = readOptions<Credentials>('signIn', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const by = { ...given, connection, route: 'sign-in', account: given.email, failure: 'user.sign-in-failed' };
  const user = await guess(by, () => verified(connection, given, hashingClientOf(by)));
  if (!user.emailVerified && given.emailVerification) throw refuse('email_unverified');
  if (user.password && isOutdated(user.password, given)) await upgrade(connection, user, given).catch(later);
  const signedIn = await completeSignIn({ ...given, connection, user, factors: ['password'] });
  await clearGuesses(by); // not before the second factor, whose guesses count for the account too
  return signedIn;
}

async function verified(
  connection: Connection,
  given: Credentials & ReadSharedOptions,
  by: HashingClient,
): Promise<FoundUser> {
  const user = await database(() => Users(connection).findOne({ email: given.email }).lean());
  const genuine = await verifyPassword(given.password, user?.password, given, by);
  if (user && genuine && user.status !== 'inactive') return user;
  throw refuse('credentials_invalid');
}

/** A full queue must not turn a right password away; the next sign-in upgrades it. */
function later(error: unknown): void {
  if (!isTollgateError(error, 'overloaded')) throw error;
}

async function upgrade(
  connection: Connection,
  user: FoundUser,
  given: Credentials & ReadSharedOptions,
): Promise<void> {
  const password = await hashPassword(given.password, given);
  await database(() => Users(connection).upgradePassword(user._id, user.password?.hash ?? '', password));
}
