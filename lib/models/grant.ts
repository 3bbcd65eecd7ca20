import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** Units that a subject was given beside its plan: bought, or a present. What is left of them stands in its counter (see `Usage`). */
export const grantSchema = new Schema(
  {
    _id: { type: String, required: true }, // whoever says it again grants nothing more
    subject: {
      type: { type: String, enum: ['user', 'organization', 'team'], required: true },
      id: { type: String, required: true },
    },
    feature: { type: String, required: true },
    amount: { type: Number, required: true },
    expiresAt: { type: Date, default: null }, // null: never
    createdAt: Date,
  },
  { collection: 'grants', strict: 'throw' },
);

grantSchema.set('timestamps', { createdAt: true, updatedAt: false });
grantSchema.index({ 'subject.type': 1, 'subject.id': 1, createdAt: 1 });
tollgateSchema(grantSchema);

export type StoredGrant = InferSchemaType<typeof grantSchema>;
export const Grants = accessor('Grant', (connection) => connection.model('Grant', grantSchema));
