import { type ClientSession, type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** One version of a plan. A subscriber keeps the version bought; newcomers get the one in force. */
export const planSchema = new Schema(
  {
    code: { type: String, required: true },
    version: { type: Number, required: true },
    generation: { type: Number, required: true }, // grows with every change of any plan
    name: { type: String, required: true },
    tier: { type: Number, required: true }, // a higher one is an upgrade
    features: { type: Schema.Types.Mixed, required: true }, // see Feature in services/plans/features.ts
    default: { type: Boolean, default: false }, // the plan of whoever has no other: one version of one plan
    active: { type: Boolean, default: true }, // of the newest version: whether the plan can be had
    createdAt: Date,
  },
  {
    collection: 'plans',
    strict: 'throw',
    minimize: false,
    statics: {
      /**
       * What the next change of a plan is stored with. The unique index on it makes two changes at the same time conflict, so that
       * each sees all before it.
       */
      async nextGeneration(session: ClientSession): Promise<number> {
        const last = await this.findOne({}, { generation: 1 }, { session }).sort({ generation: -1 }).lean();
        return (last?.generation ?? 0) + 1;
      },

      /** The version in force of a plan, archived or not. */
      newest(code: string, session?: ClientSession) {
        return this.findOne({ code }, null, { session: session ?? null })
          .sort({ version: -1 })
          .lean();
      },
    },
  },
);

planSchema.set('timestamps', { createdAt: true, updatedAt: false });
planSchema.index({ code: 1, version: 1 }, { unique: true });
planSchema.index({ generation: 1 }, { unique: true });
planSchema.index({ default: 1 }, { unique: true, partialFilterExpression: { default: true } });
tollgateSchema(planSchema);

export type StoredPlan = InferSchemaType<typeof planSchema>;
export const Plans = accessor('Plan', (connection) => connection.model('Plan', planSchema));
