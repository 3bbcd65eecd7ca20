import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** One version of a plan. A subscriber keeps the version bought; newcomers get the one in force. */
export const planSchema = new Schema(
  {
    code: { type: String, required: true },
    version: { type: Number, required: true },
    name: { type: String, required: true },
    tier: { type: Number, required: true }, // a higher one is an upgrade
    features: { type: Schema.Types.Mixed, required: true }, // see Feature in services/plans/features.ts
    default: { type: Boolean, default: false }, // the plan of whoever has no subscription
    active: { type: Boolean, default: true },
    createdAt: Date,
  },
  { collection: 'plans', strict: 'throw', minimize: false },
);

planSchema.set('timestamps', { createdAt: true, updatedAt: false });
planSchema.index({ code: 1, version: 1 }, { unique: true });
planSchema.index({ default: 1, code: 1 });
tollgateSchema(planSchema);

export type StoredPlan = InferSchemaType<typeof planSchema>;
export const Plans = accessor('Plan', (connection) => connection.model('Plan', planSchema));
