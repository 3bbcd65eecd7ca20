import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** How often an allowance starts anew; calendar periods in UTC. */
export const periods = ['hour', 'day', 'month', 'lifetime'] as const;
export type Period = (typeof periods)[number];

/** The end of a lifetime: the latest moment that a Date can hold. */
const endOfTime = new Date(8_640_000_000_000_000);

/** A subject (`type:id`) and a feature: an embedded document, so that no separator between them can be forged. */
export interface UsageKey {
  readonly s: string;
  readonly f: string;
}

/**
 * What a subject has used of a feature in the current period: `u` units in `from <= $$NOW < to`.
 *
 * The document holds its period, and the write itself turns it, so no process needs to know the time.
 */
export const usageSchema = new Schema(
  {
    _id: { type: new Schema({ s: String, f: String }, { _id: false }), required: true },
    from: { type: Date, required: true },
    to: { type: Date, required: true },
    u: { type: Number, required: true },
    t: { type: Date, required: true }, // the database's time at the last change
  },
  {
    collection: 'tollgate_usage',
    strict: 'throw',
    statics: {
      /** Counts `amount` when it fits under `limit` (null: none) in the current period; null when it does not. */
      take(key: UsageKey, amount: number, limit: number | null) {
        const inPeriod = { $and: [{ $lte: ['$from', '$$NOW'] }, { $gt: ['$to', '$$NOW'] }] };
        const fits = limit === null ? {} : { u: { $lte: limit - amount } };
        const update = { $inc: { u: amount }, $currentDate: { t: true } } as const;
        const filter = { _id: key, ...fits, $expr: inPeriod };
        return this.findOneAndUpdate(filter, update, { returnDocument: 'after' }).lean();
      },

      /** Starts the counter, or its next period when the last one is over; gives what it holds then. */
      turn(key: UsageKey, per: Period) {
        const over = { $lte: [{ $ifNull: ['$to', new Date(0)] }, '$$NOW'] };
        const from = per === 'lifetime' ? '$$NOW' : { $dateTrunc: { date: '$$NOW', unit: per } };
        const to = per === 'lifetime' ? endOfTime : { $dateAdd: { startDate: from, unit: per, amount: 1 } };
        const next = (field: string, value: unknown) => ({ $cond: [over, value, field] });
        const turned = { u: next('$u', 0), from: next('$from', from), to: next('$to', to), t: '$$NOW' };
        return this.findOneAndUpdate({ _id: key }, [{ $set: turned }], {
          upsert: true,
          updatePipeline: true,
          returnDocument: 'after',
        }).lean();
      },

      /** Takes `amount` back from the period that began at `from`; nothing when that one is over. */
      giveBack(key: UsageKey, amount: number, from: Date) {
        return this.updateOne({ _id: key, from, u: { $gte: amount } }, { $inc: { u: -amount } });
      },
    },
  },
);

tollgateSchema(usageSchema);

export type StoredUsage = InferSchemaType<typeof usageSchema>;
export const Usage = accessor('Usage', (connection) => connection.model('Usage', usageSchema));

/** The end of the period, or null when it never ends. */
export const periodEnd = ({ to }: { to: Date }): Date | null => (to < endOfTime ? to : null);
