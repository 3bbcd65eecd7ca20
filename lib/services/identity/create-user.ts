import Joi from 'joi';
import type { ClientSession } from 'mongoose';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Users, userSchema } from '../../models/user.js';
import { opened } from '../../runtime/connection.js';
import { database, isDuplicate } from '../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import type { OwnFields, User } from '../../runtime/user.js';
import { holdGlobalRoles, refuseActs } from '../administration/manager.js';
import { type Actor, actorFields } from '../roles/actor.js';
import { byGlobalRights } from '../roles/by-global-rights.js';
import { asUser } from './as-user.js';
import { emailSchema } from './canonical-email.js';
import { newPassword } from './new-password.js';
import { hashPassword, type PasswordHash, type PasswordOptions } from './password.js';

export interface NewUser extends Actor, Origin {
  email: string;
  /** 8–256 characters, none of the most common; without one the user cannot sign in by password. */
  password?: string | undefined;
  /**
   * In place of `password`, the hash of another application: plain bcrypt (`$2a$`, `$2b$`, `$2y$`) of cost 4–16. The next sign-in
   * replaces it by one of ours. Let `passwordCost` be no less, or slower answers tell which addresses are known.
   */
  passwordHash?: { scheme: 'bcrypt'; hash: string } | undefined;
  name?: string | undefined;
  /** Default: the one that `roleNames.user` names. */
  roles?: readonly string[] | undefined;
  /** Default false. */
  emailVerified?: boolean | undefined;
  /** The application's own fields, checked by its own schema. */
  fields?: Partial<OwnFields> | undefined;
}

/** Costs above what `passwordCost` may be would keep a thread for minutes. */
const bcryptHash: Joi.CustomValidator = (hash: string, helpers) =>
  /^\$2[aby]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}$/.test(hash)
    ? hash
    : helpers.message({ custom: 'must be a bcrypt hash ($2a$, $2b$ or $2y$) of a cost from 4 to 16' });

const importedHash = Joi.object({
  scheme: Joi.valid('bcrypt').required(),
  hash: Joi.string().custom(bcryptHash).required(),
}).when('password', { is: Joi.forbidden(), otherwise: Joi.forbidden() });

const refuseOurs: Joi.CustomValidator = (fields, helpers) => {
  const ours = Object.keys(fields).find((field) => (field.split('.')[0] as string) in userSchema.paths);
  return ours
    ? helpers.message({ custom: `must not have ${JSON.stringify(ours)}, which is not the application's` })
    : fields;
};

/** Without control characters: a name stands in mails and logs. */
export const personName = Joi.string()
  .max(200)
  .pattern(/^\P{Cc}*$/u)
  .messages({ 'string.pattern.base': 'must not have line breaks or other control characters' });

/** What may be said of a new user, by whoever makes one. */
export const newUserSchemas = {
  email: emailSchema.required(),
  password: newPassword,
  passwordHash: importedHash,
  name: personName,
  roles: Joi.array().items(Joi.string()),
  emailVerified: Joi.boolean(),
  fields: Joi.object().custom(refuseOurs),
};

const own = { ...newUserSchemas, ...actorFields, ...originFields };

/**
 * Creates a user, whoever asks: the caller decides who may. With an `actor` their management rules decide.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when the rules of the actor's roles do not let them create users of `roles`, or they lack permissions
 *   or rules that those hold; `email_taken` (409), `overloaded` (503), `database_unavailable` (503)
 * @example await createUser({ email: 'ada@example.com', password, roles: ['user', 'designer'] });
 */
export async function createUser(input: NewUser & SharedOptions): Promise<User> {
  const given = readOptions<NewUser>('createUser', input, own);
  const connection = opened(given.connection);
  const { email, name = null, emailVerified = false, roles = [given.roleNames.user], fields } = given;
  const acts = [['create', roles]] as const;
  const judge = async (session: ClientSession | null) => {
    await refuseActs(connection, session, given, acts);
    await holdGlobalRoles(connection, session, given, roles);
  };
  const hashes = given.actor !== undefined && given.password !== undefined;
  if (hashes) await database(() => judge(null)); // nobody else's passwords are worth hashing
  const password = await passwordOf(given);
  const users = Users(connection);
  return byGlobalRights(connection, given.actor, judge, async (session) => {
    const document = { ...fields, email, name, emailVerified, roles: [...roles], password };
    const stored = await users.insertOne(document, { session });
    await recordAudit({
      connection,
      session,
      action: 'user.created',
      actor: given.actor,
      target: { type: 'user', id: stored.id },
      details: given.actor === undefined ? {} : { roles },
      ip: given.ip,
      userAgent: given.userAgent,
      requestId: given.requestId,
    });
    return asUser(stored.toObject(), users);
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'email') ? refuse('email_taken') : error;
  });
}

async function passwordOf(given: NewUser & PasswordOptions): Promise<PasswordHash | null> {
  if (given.passwordHash) return { ...given.passwordHash, pepperId: null };
  return given.password === undefined ? null : hashPassword(given.password, given);
}
