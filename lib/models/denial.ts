import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';
import type { UsageKey } from './usage.js';

/** A refusal for want of units. */
export interface StoredDenial {
  readonly at: Date;
  readonly amount: number;
  readonly used: number;
  readonly limit: number | null;
  readonly remaining: number | null;
}

/** Refusals that are kept of a counter. */
export const kept = 10;

/** The last refusals of each counter, so that somebody can be told why. */
export const denialSchema = new Schema(
  {
    subject: { type: String, required: true }, // `type:id`
    feature: { type: String, required: true },
    last: { type: [Schema.Types.Mixed], required: true },
    at: { type: Date, required: true },
  },
  {
    collection: 'tollgate_denials',
    strict: 'throw',
    statics: {
      /** Adds the last refusals of counters, one or more of each, to those that are kept. */
      async note(counters: readonly { readonly key: UsageKey; readonly denials: readonly StoredDenial[] }[]) {
        const operations = counters.map(({ key, denials }) => ({
          updateOne: {
            filter: { subject: key.s, feature: key.f },
            update: {
              $set: { at: denials.at(-1)?.at },
              $push: { last: { $each: denials, $slice: -kept } },
            },
            upsert: true,
          },
        }));
        await this.collection.bulkWrite(operations as never, { ordered: false });
      },
    },
  },
);

denialSchema.index({ subject: 1, feature: 1 }, { unique: true });
denialSchema.index({ at: 1 }, { expireAfterSeconds: 2_592_000 });
tollgateSchema(denialSchema);

export type StoredDenials = InferSchemaType<typeof denialSchema>;
export const Denials = accessor('Denial', (connection) => connection.model('Denial', denialSchema));
