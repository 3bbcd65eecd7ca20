import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** An organization or team that was deleted, until what belonged to it, which may be too much for one transaction, is gone too. */
export const deletionSchema = new Schema(
  {
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', required: true },
    team: { type: Schema.Types.ObjectId, ref: 'Team', default: null }, // null: all of the organization
    at: { type: Date, required: true },
  },
  { collection: 'tollgate_deletions', strict: 'throw' },
);

tollgateSchema(deletionSchema);

export type StoredDeletion = InferSchemaType<typeof deletionSchema>;
export const Deletions = accessor('Deletion', (connection) => connection.model('Deletion', deletionSchema));
