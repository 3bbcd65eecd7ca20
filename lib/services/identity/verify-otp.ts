import Joi from 'joi';
import type { Connection } from 'mongoose';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { liveToken, OneTimeTokens } from '../../models/one-time-token.js';
import { Users } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { Key } from '../../runtime/keyring.js';
import { isDigitsOf } from '../../runtime/one-time-codes.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import type { FoundUser, SignedInSession } from '../sessions/start-session.js';
import { emailSchema } from './canonical-email.js';
import { completeSignIn } from './complete-sign-in.js';
import { guess } from './guessing-budget.js';
import { proveAddress } from './prove-address.js';

export interface OtpSignIn extends Origin {
  email: string;
  /** Six digits. */
  code: string;
  delivery?: 'cookie' | 'body' | undefined;
  /** The cookie of known devices. */
  device?: string | undefined;
}

const own = {
  email: emailSchema.required(),
  code: Joi.string().required(),
  delivery: Joi.valid('cookie', 'body'),
  device: Joi.string(),
  ...originFields,
};

/** Codes of an account that are good at once: who asks again need not wonder which mail is the latest. */
const most = 3;

/**
 * Signs a user in by a code that `sendOtp` has mailed. A code is good once; guesses count per account, however many codes it has. It proves the address too.
 *
 * @throws {TollgateError} `credentials_invalid` (401), `second_factor_required` (401), `rate_limited` (429), `database_unavailable` (503)
 * @example const { user } = await verifyOtp({ email, code, keys });
 */
export async function verifyOtp(input: OtpSignIn & SharedOptions): Promise<SignedInSession> {
  const given = readOptions<OtpSignIn>('verifyOtp', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const by = { ...given, connection, route: 'otp', account: given.email, failure: 'user.sign-in-failed' };
  const user = await guess(by, async () => {
    const owner = await redeemOtp(connection, given);
    if (!owner) throw refuse('credentials_invalid');
    return owner;
  });
  return completeSignIn({
    ...given,
    connection,
    user: await proved(connection, user, given),
    factors: ['otp'],
  });
}

/** The user to whom the code was sent, unless their credentials or address have changed since. */
export async function redeemOtp(
  connection: Connection,
  { email, code, keyring }: OtpSignIn & { readonly keyring: readonly Key[] },
): Promise<FoundUser | null> {
  const tokens = OneTimeTokens(connection);
  const live = { email, purpose: 'otp', ...liveToken } as const;
  const recent = await database(() =>
    tokens.find(live, { _id: 1 }).sort({ createdAt: -1 }).limit(most).lean(),
  );
  const right = recent.map(({ _id }) => _id).find((id) => isDigitsOf('otp', id, code, keyring));
  const token = right && (await database(() => tokens.redeem(right, 'otp')));
  if (!token?.user) return null;
  const user = await database(() => Users(connection).findOne({ _id: token.user, email }).lean());
  const current = user?.status !== 'inactive' && (user?.credentialEpoch ?? 0) === token.credentialEpoch;
  return current ? user : null;
}

async function proved(
  connection: Connection,
  user: FoundUser,
  { ip, userAgent, requestId }: Origin,
): Promise<FoundUser> {
  if (user.emailVerified) return user;
  return transaction(connection, (session) =>
    proveAddress(connection, session, { user, ip, userAgent, requestId }),
  );
}
