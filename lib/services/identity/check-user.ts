import { type Connection, type Model, Error as MongooseErrors } from 'mongoose';
import { refuse } from '../../errors.js';
import { Users } from '../../models/user.js';

/**
 * Checks by the application's own schema, before anything is written, a user that is to be made; or only `paths` of one that is to change.
 *
 * @throws {TollgateError} `validation_failed` (400, extra `errors: [{ path, message }]`)
 */
export async function checkUser(
  connection: Connection,
  document: object,
  paths?: readonly string[],
): Promise<void> {
  try {
    const users = Users(connection) as unknown as Model<unknown>;
    await (paths ? users.validate(document, [...paths]) : new users(document).validate());
  } catch (error) {
    if (!(error instanceof MongooseErrors.ValidationError)) throw error;
    const errors = Object.entries(error.errors).map(([path, { message }]) => ({ path, message }));
    throw refuse('validation_failed', { errors });
  }
}
