import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** A user who was erased, until what is too much for one transaction (the audit log) has been cleared of them too. */
export const erasureSchema = new Schema(
  { _id: { type: String, required: true }, at: { type: Date, required: true } },
  { collection: 'tollgate_erasures', strict: 'throw' },
);

tollgateSchema(erasureSchema);

export type StoredErasure = InferSchemaType<typeof erasureSchema>;
export const Erasures = accessor('Erasure', (connection) => connection.model('Erasure', erasureSchema));
