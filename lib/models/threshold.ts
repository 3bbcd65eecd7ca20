import { type ClientSession, type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** Per cent of what a subject may use. */
export const thresholds = [80, 100] as const;

/** That a counter has reached a threshold in a period. The unique index lets it be noted once, by whichever process comes first. */
export const thresholdSchema = new Schema(
  {
    subject: { type: String, required: true }, // `type:id`
    feature: { type: String, required: true },
    threshold: { type: Number, enum: thresholds, required: true },
    from: { type: Date, required: true },
    to: { type: Date, required: true },
    used: { type: Number, required: true },
    limit: { type: Number, default: null },
    at: { type: Date, required: true },
    taken: { type: Boolean, default: false }, // by the worker that tells of it
    purgeAt: { type: Date, default: null }, // null: the period never ends
  },
  {
    collection: 'tollgate_thresholds',
    strict: 'throw',
    statics: {
      /** One that nobody has told of; nobody else gets it. */
      take(session: ClientSession | null = null) {
        const options = { sort: { at: 1 as const }, session };
        return this.findOneAndUpdate({ taken: false }, { taken: true }, options).lean();
      },
    },
  },
);

thresholdSchema.index({ subject: 1, feature: 1, from: 1, threshold: 1 }, { unique: true });
thresholdSchema.index({ taken: 1, at: 1 });
thresholdSchema.index({ purgeAt: 1 }, { expireAfterSeconds: 0 });
tollgateSchema(thresholdSchema);

export type StoredThreshold = InferSchemaType<typeof thresholdSchema>;
export const Thresholds = accessor('Threshold', (connection) =>
  connection.model('Threshold', thresholdSchema),
);
