import Joi from 'joi';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { enqueueMail, needMail } from '../../mail/enqueue-mail.js';
import { OneTimeTokens } from '../../models/one-time-token.js';
import { Users } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { linkToken } from '../../runtime/one-time-codes.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { type SignedInSession, startSession } from '../sessions/start-session.js';
import { checkUser } from './check-user.js';
import { createUser, type NewUser, newUserSchemas } from './create-user.js';
import { hashingClientOf, spend } from './guessing-budget.js';
import { hashPassword } from './password.js';

export interface SignUp extends Pick<NewUser, 'email' | 'name' | 'fields'>, Origin {
  password: string;
  delivery?: 'cookie' | 'body' | undefined;
}

/** A sign-up that waits for the proof of its address. */
export interface PendingSignUp {
  /** For a cookie: the browser that has it need not repeat the password when the link is opened. */
  readonly binding: string;
}

const day = 86_400;

const own = {
  email: newUserSchemas.email,
  password: newUserSchemas.password.required(),
  name: newUserSchemas.name,
  fields: newUserSchemas.fields,
  delivery: Joi.valid('cookie', 'body'),
  ...originFields,
};

/**
 * Begins a sign-up: mails a link to the address, and makes the user when that is opened (`verifyEmail`). Known and unknown addresses are
 * treated alike; the owner of a known one is told by mail.
 *
 * With `emailVerification: false` the user is made and signed in at once.
 *
 * @throws {TollgateError} `email_taken` (409, only with verification off), `rate_limited` (429), `overloaded` (503),
 *   `database_unavailable` (503)
 * @example const { binding } = await signUp({ email, password, keys });
 */
export async function signUp(input: SignUp & SharedOptions): Promise<PendingSignUp | SignedInSession> {
  const given = readOptions<SignUp>('signUp', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const { email, password, name = null, fields = {}, keyring } = given;
  await checkUser(connection, { email, name, ...fields });
  const { emailVerification, credentialRate, mailRate } = given;
  const rate = { mailRate: emailVerification ? mailRate : credentialRate }; // without verification no mail goes out
  await spend({ ...given, ...rate, connection, route: 'sign-up', account: email });
  if (!emailVerification) {
    const { id } = await createUser({ ...given, connection, roles: undefined, emailVerified: false });
    const user = await database(() => Users(connection).findById(id).lean().orFail());
    return startSession({ ...given, connection, user, factors: ['password'] });
  }
  needMail('signUp', given);
  const data = { password: await hashPassword(password, given, hashingClientOf(given)), name, fields };
  const token = await transaction(connection, async (session) => {
    const issue = { purpose: 'sign-up', email, data, ttl: day } as const;
    const id = await OneTimeTokens(connection).issue(issue, session);
    await enqueueMail(connection, session, { kind: 'verify-email', to: email, token: id });
    return id;
  });
  return { binding: linkToken('sign-up binding', token, keyring) };
}
