import { mongo } from 'mongoose';

/** What is thrown within a transaction to let it begin anew, as a write conflict does. */
export function beginAnew(why: string): Error {
  const error = new mongo.MongoError(why);
  error.addErrorLabel('TransientTransactionError');
  return error;
}
