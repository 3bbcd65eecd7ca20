import { type ClientSession, type Connection, Schema } from 'mongoose';
import { revocationCollection } from '../runtime/change-feed.js';
import { noteChanged } from '../runtime/transaction.js';
import { accessor, tollgateSchema } from './accessor.js';

/** What the change feed of every process reads: the subjects of which something cached may have changed. */
export const revocationSchema = new Schema(
  { subjects: { type: [String], required: true }, at: { type: Date, required: true } },
  { collection: revocationCollection, strict: 'throw' },
);

revocationSchema.index({ at: 1 }, { expireAfterSeconds: 3_600 });
tollgateSchema(revocationSchema);

export const Revocations = accessor('Revocation', (connection) =>
  connection.model('Revocation', revocationSchema),
);

/**
 * Makes every process forget what it holds of `subjects` (as `subjectKey` writes them): this one when the transaction
 * ends, the others when they hear of its commit. Belongs in every transaction that takes a right away or gives one.
 */
export async function changed(
  connection: Connection,
  session: ClientSession,
  ...subjects: [string, ...string[]]
): Promise<void> {
  noteChanged(session, subjects);
  await Revocations(connection).insertMany([{ subjects, at: new Date() }], { session });
}
