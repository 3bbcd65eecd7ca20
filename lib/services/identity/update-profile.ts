import Joi from 'joi';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { changed } from '../../models/revocation.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import type { OwnFields, User } from '../../runtime/user.js';
import { asUser } from './as-user.js';
import { checkUser } from './check-user.js';
import { newUserSchemas } from './create-user.js';

export interface ProfileUpdate extends Origin {
  userId: string;
  /** Null removes it. */
  name?: string | null | undefined;
  /** The application's own fields that change, checked by its own schema. */
  fields?: Partial<OwnFields> | undefined;
}

const own = {
  userId: Joi.string().required(),
  name: newUserSchemas.name.allow(null),
  fields: newUserSchemas.fields,
  ...originFields,
};

/**
 * Changes the name and the application's own fields of a user; gives the user as it is then.
 *
 * @throws {TollgateError} `validation_failed` (400, by the application's schema), `not_found` (404), `database_unavailable` (503)
 * @example const user = await updateProfile({ userId: user.id, name: 'Grace' });
 */
export async function updateProfile(input: ProfileUpdate & SharedOptions): Promise<User> {
  const given = readOptions<ProfileUpdate>('updateProfile', input, own);
  const connection = opened(given.connection);
  const { userId, name, fields = {}, ip, userAgent, requestId } = given;
  const values = { ...fields, ...(name !== undefined && { name }) };
  await checkUser(connection, values, Object.keys(values));
  return transaction(connection, async (session) => {
    const found = await Users(connection)
      .findOneAndUpdate(
        { _id: readUserId(connection, userId) },
        { $set: values },
        { session, returnDocument: 'after' },
      )
      .lean();
    if (!found) throw refuse('not_found');
    await changed(connection, session, `user:${userId}`);
    const target = { type: 'user', id: userId };
    const details = { fields: Object.keys(values) };
    const entry = { action: 'user.updated', actor: userId, target, details, ip, userAgent, requestId };
    await recordAudit({ connection, session, ...entry });
    return asUser(found, Users(connection));
  });
}
