import { type ClientSession, type InferSchemaType, Schema } from 'mongoose';
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

/** A counter as it is read. */
export interface UsageRow {
  readonly _id: UsageKey;
  readonly u: number;
  readonly from: Date;
  readonly to: Date;
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
    b: { type: Number, default: 0 }, // u before the last write that counted a part
    t: { type: Date, required: true }, // the database's time at the last change
  },
  {
    collection: 'tollgate_usage',
    strict: 'throw',
    statics: {
      /** Counts `total` when it fits under `limit` (null: none) in the current period, else nothing: then it is null. */
      takeAll(key: UsageKey, total: number, limit: number | null) {
        const inPeriod = { $and: [{ $lte: ['$from', '$$NOW'] }, { $gt: ['$to', '$$NOW'] }] };
        const fits = limit === null ? {} : { u: { $lte: limit - total } };
        const update = { $inc: { u: total }, $currentDate: { t: true } } as const;
        return this.findOneAndUpdate({ _id: key, ...fits, $expr: inPeriod }, update, {
          returnDocument: 'after',
        }).lean();
      },

      /**
       * Starts the counter, or its next period when the last one is over; then counts those of `amounts`, in their order,
       * that fit under `limit`. `b` is what was used before.
       */
      takeSome(key: UsageKey, amounts: readonly number[], limit: number | null, per: Period) {
        const over = { $lte: [{ $ifNull: ['$to', new Date(0)] }, '$$NOW'] };
        const from = per === 'lifetime' ? '$$NOW' : { $dateTrunc: { date: '$$NOW', unit: per } };
        const to = per === 'lifetime' ? endOfTime : { $dateAdd: { startDate: from, unit: per, amount: 1 } };
        const next = (field: string, value: unknown) => ({ $cond: [over, value, field] });
        const turned = { b: next('$u', 0), from: next('$from', from), to: next('$to', to), t: '$$NOW' };
        const sum = { $add: ['$$value', '$$this'] };
        const fitting = limit === null ? sum : { $cond: [{ $lte: [sum, limit] }, sum, '$$value'] };
        const counted = { u: { $reduce: { input: [...amounts], initialValue: '$b', in: fitting } } };
        return this.findOneAndUpdate({ _id: key }, [{ $set: turned }, { $set: counted }], {
          upsert: true,
          updatePipeline: true,
          returnDocument: 'after',
        }).lean();
      },

      /** Every counter of a subject. */
      async allOf(subject: string): Promise<readonly UsageRow[]> {
        return this.aggregate<UsageRow>([{ $match: keysOf(subject) }]);
      },

      async deleteAllOf(subject: string, session: ClientSession | null): Promise<void> {
        const found = await this.aggregate<UsageRow>([{ $match: keysOf(subject) }]).session(session);
        const ids = { _id: { $in: found.map(({ _id }) => _id) } };
        await this.deleteMany(ids, session ? { session } : {});
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

/** All keys of a subject, which stand together in the index on `_id`. Mongoose cannot cast a range of documents: for pipelines. */
const keysOf = (s: string) => ({ _id: { $gte: { s, f: '' }, $lt: { s, f: '\u{10ffff}' } } });

/** The end of the period, or null when it never ends. */
export const periodEnd = ({ to }: { to: Date }): Date | null => (to < endOfTime ? to : null);
