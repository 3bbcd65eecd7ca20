import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/**
 * A batch of the quota engine in which there are idempotency keys: its `parts` as they were sent, each with its position, amount and
 * period, and their `outcome` once that is known (`'void'`: it has not taken effect and never will). The counter's slot says the
 * same as the outcome until the lane sends its next batch, which waits for the outcome to be written here. Only lib/quota writes it.
 */
export const claimedBatchSchema = new Schema(
  {
    _id: { type: String, required: true },
    feature: { type: String, required: true },
    slot: { type: String, required: true },
    sequence: { type: Number, required: true },
    overage: { type: Number, default: 0 },
    deadline: { type: Date, required: true },
    parts: { type: [Schema.Types.Mixed], required: true },
    outcome: { type: Schema.Types.Mixed, default: null },
    expiresAt: { type: Date, required: true },
  },
  { collection: 'tollgate_claimed_batches', strict: 'throw' },
);

claimedBatchSchema.index({ expiresAt: 1 }, { expireAfterSeconds: 600 }); // later than every claim of it
tollgateSchema(claimedBatchSchema);

export type StoredClaimedBatch = InferSchemaType<typeof claimedBatchSchema>;
export const ClaimedBatches = accessor('ClaimedBatch', (connection) =>
  connection.model('ClaimedBatch', claimedBatchSchema),
);
