import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** The plan of a subject, one document a subject: whoever has none is on the default plan. */
export const subscriptionSchema = new Schema(
  {
    subject: {
      type: { type: String, enum: ['user', 'organization', 'team'], required: true },
      id: { type: String, required: true },
    },
    plan: { type: String, required: true },
    planVersion: { type: Number, required: true },
    version: { type: Number, default: 0 }, // of what the subject may use: grows with every change
    createdAt: Date,
    updatedAt: Date,
  },
  { collection: 'subscriptions', strict: 'throw' },
);

subscriptionSchema.set('timestamps', true);
subscriptionSchema.index({ 'subject.type': 1, 'subject.id': 1 }, { unique: true });
tollgateSchema(subscriptionSchema);

export type StoredSubscription = InferSchemaType<typeof subscriptionSchema>;
export const Subscriptions = accessor('Subscription', (connection) =>
  connection.model('Subscription', subscriptionSchema),
);
