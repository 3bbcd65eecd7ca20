import Joi from 'joi';
import type { ClientSession, Connection, Types } from 'mongoose';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { liveToken, OneTimeTokens, type StoredOneTimeToken } from '../../models/one-time-token.js';
import { Users } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { database, isDuplicate } from '../../runtime/database.js';
import { readLinkToken } from '../../runtime/one-time-codes.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  signingKeys,
} from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import type { FoundUser, SignedInSession } from '../sessions/start-session.js';
import { completeSignIn } from './complete-sign-in.js';
import { guess, hashingClientOf } from './guessing-budget.js';
import { type PasswordHash, verifyPassword } from './password.js';
import { proveAddress } from './prove-address.js';

export interface VerifyEmail extends Origin {
  /** As the link has it. */
  token: string;
  /** The password of the sign-up, repeated. */
  password?: string | undefined;
  /** What `signUp` gave the browser. */
  binding?: string | undefined;
  delivery?: 'cookie' | 'body' | undefined;
}

const own = {
  token: Joi.string().required(),
  password: Joi.string().max(256),
  binding: Joi.string(),
  delivery: Joi.valid('cookie', 'body'),
  ...originFields,
};

type Token = StoredOneTimeToken & { _id: Types.ObjectId };
type Pending = { password?: PasswordHash; name?: string | null; fields?: Record<string, unknown> };

/**
 * Ends a sign-up: the address is proved, its user made where there is none, and signed in.
 *
 * The password that was chosen at sign-up takes effect only for who chose it: in the browser with its `binding`, or when `password` repeats it.
 * Else anybody could sign up with another's address and wait for the owner to confirm it.
 *
 * @throws {TollgateError} `token_used` (400); `credentials_invalid` (401) when `password` is another one: the link stays good;
 *   `second_factor_required` (401), `rate_limited` (429), `overloaded` (503), `database_unavailable` (503)
 * @example const { user } = await verifyEmail({ token, password, keys });
 */
export async function verifyEmail(input: VerifyEmail & SharedOptions): Promise<SignedInSession> {
  const given = readOptions<VerifyEmail>('verifyEmail', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const verified = await guess({ ...given, connection, route: 'token' }, async () => {
    const id = readLinkToken('sign-up', given.token, given.keyring);
    const token =
      id &&
      (await database(() =>
        OneTimeTokens(connection)
          .findOne({ _id: id, ...liveToken })
          .lean(),
      ));
    if (!token) throw refuse('token_used');
    const password = await chosen(connection, token, given);
    const user = await transaction(connection, (session) =>
      prove(connection, session, token, password, given),
    ).catch((error: unknown) => {
      throw isDuplicate(error, 'email') ? refuse('token_used') : error; // another link was opened at the same moment
    });
    return { user, factors: [password ? 'password' : 'otp'] };
  });
  return completeSignIn({ ...given, ...verified, connection });
}

/** The password that takes effect, if who opens the link is known to have chosen it. */
async function chosen(
  connection: Connection,
  token: Token,
  given: VerifyEmail & ReadSharedOptions,
): Promise<PasswordHash | null> {
  const email = token.email as string;
  const pending = (token.data as Pending).password;
  const stored = pending ?? (await database(() => Users(connection).findOne({ email }).lean()))?.password;
  const bound = readLinkToken('sign-up binding', given.binding ?? '', given.keyring);
  if (pending && bound && String(bound) === String(token._id)) return pending;
  if (given.password === undefined) return null;
  if (!(await verifyPassword(given.password, stored, given, hashingClientOf(given))))
    throw refuse('credentials_invalid');
  return stored as PasswordHash;
}

async function prove(
  connection: Connection,
  session: ClientSession,
  { _id, email, data }: Token,
  password: PasswordHash | null,
  { roleNames, ip, userAgent, requestId }: Origin & ReadSharedOptions,
): Promise<FoundUser> {
  const redeemed = await OneTimeTokens(connection).redeem(_id, 'sign-up', session);
  if (!redeemed || !email) throw refuse('token_used');
  const users = Users(connection);
  const known = await users.findOne({ email }, null, { session }).lean();
  if (known?.emailVerified) throw refuse('token_used');
  const origin = { ip, userAgent, requestId };
  const user = known
    ? await proveAddress(connection, session, { user: known, password, ...origin })
    : await create(connection, session, { ...pendingOf(data), email, password, roles: [roleNames.user] });
  const target = { type: 'user', id: String(user._id) };
  const action = known ? 'email.verified' : 'user.created';
  await recordAudit({ connection, session, action, actor: target.id, target, ...origin });
  return user;
}

/** What the sign-up said of the user. */
function pendingOf(data: unknown): object {
  const { name = null, fields } = data as Pending;
  return { ...fields, name };
}

async function create(
  connection: Connection,
  session: ClientSession,
  person: { email: string; password: PasswordHash | null; roles: string[] },
): Promise<FoundUser> {
  const stored = await Users(connection).insertOne({ ...person, emailVerified: true }, { session });
  return stored.toObject();
}
