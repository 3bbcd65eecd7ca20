import Joi from 'joi';
import { recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Users, userSchema } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { isDuplicate } from '../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { asUser } from './as-user.js';
import { emailSchema } from './canonical-email.js';
import { hashPassword } from './password.js';
import type { User, UserFields } from './user.js';

export interface NewUser {
  email: string;
  /** 8–256 characters; without one the user cannot sign in by password. */
  password?: string | undefined;
  name?: string | undefined;
  /** Default `['user']`. */
  roles?: readonly string[] | undefined;
  /** Default false. */
  emailVerified?: boolean | undefined;
  /** The application's own fields, checked by its own schema. */
  fields?: Partial<UserFields> | undefined;
}

/** A new password: long enough to be worth hashing, short enough not to be an attack (NIST SP 800-63B). */
export const newPassword = Joi.string().min(8).max(256);

const refuseOurs: Joi.CustomValidator = (fields, helpers) => {
  const ours = Object.keys(fields).find((field) => (field.split('.')[0] as string) in userSchema.paths);
  return ours
    ? helpers.message({ custom: `must not have ${JSON.stringify(ours)}, which is not the application's` })
    : fields;
};

const own = {
  email: emailSchema.required(),
  password: newPassword,
  name: Joi.string().max(200),
  roles: Joi.array().items(Joi.string()),
  emailVerified: Joi.boolean(),
  fields: Joi.object().custom(refuseOurs),
};

/**
 * Creates a user, whoever asks: the caller decides who may.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `email_taken` (409), `overloaded` (503), `database_unavailable` (503)
 * @example await createUser({ email: 'ada@example.com', password, roles: ['user', 'designer'] });
 */
export async function createUser(input: NewUser & SharedOptions): Promise<User> {
  const given = readOptions<NewUser>('createUser', input, own);
  const connection = opened(given.connection);
  const { email, name = null, emailVerified = false, roles = ['user'], fields } = given;
  const password = given.password === undefined ? null : await hashPassword(given.password, given);
  const users = Users(connection);
  return transaction(connection, async (session) => {
    const document = { ...fields, email, name, emailVerified, roles: [...roles], password };
    const stored = await users.insertOne(document, { session });
    await recordAudit({
      connection,
      session,
      action: 'user.created',
      target: { type: 'user', id: stored.id },
    });
    return asUser(stored.toObject(), users);
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'email') ? refuse('email_taken') : error;
  });
}
