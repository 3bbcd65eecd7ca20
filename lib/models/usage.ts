import { type ClientSession, type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** How often an allowance starts anew: calendar periods in UTC, months from the subscription's anchor, or never. */
export const periods = ['hour', 'day', 'month', 'billing', 'lifetime'] as const;
export type Period = (typeof periods)[number];

/** The end of a lifetime: the latest moment that a Date can hold. */
export const endOfTime = new Date(8_640_000_000_000_000);

/** A subject (`type:id`) and a feature: an embedded document, so that no separator between them can be forged. */
export interface UsageKey {
  readonly s: string;
  readonly f: string;
}

/** Units beside the allowance: granted, bought or carried over. `l` are left, `s` were spent in this period. */
export interface StoredBalance {
  readonly i: string;
  readonly l: number;
  readonly s: number;
  /** When they expire; `endOfTime`: never. */
  readonly e: Date;
}

/** A counter as it is read. */
export interface UsageRow {
  readonly _id: UsageKey;
  readonly u: number;
  readonly from: Date;
  readonly to: Date;
  readonly lim: number | null;
  readonly lv: number;
  readonly o?: number;
  readonly balances?: readonly StoredBalance[];
  readonly past?: readonly { readonly from: Date; readonly to: Date; readonly u: number }[];
}

/**
 * What a subject has used of a feature in the period `from <= $$NOW < to`. Only the engine writes it: see lib/quota.
 *
 * `u` units of the allowance `lim` (null: unlimited) are used; `lim` is as the entitlement version `lv` says. `o` were used beyond it,
 * where the plan allows that. `past` holds the totals of the last periods. `p` is one slot for each process and lane: what the
 * last batch of it did, so that none counts twice. `c` is how often what may be used was changed, by hand or with the plan: counting that
 * locks the counter. `t` says how periods are counted, and what they leave over, for whoever has older entitlements. `from` and `to` are not there before its first use.
 */
export const usageSchema = new Schema(
  {
    _id: { type: new Schema({ s: String, f: String }, { _id: false }), required: true },
    from: { type: Date, required: true },
    to: { type: Date, required: true },
    u: { type: Number, required: true },
    lim: { type: Number, default: null },
    lv: { type: Number, required: true },
    o: { type: Number, default: undefined },
    balances: { type: [Schema.Types.Mixed], default: undefined },
    past: { type: [Schema.Types.Mixed], default: undefined },
    p: { type: Schema.Types.Mixed, default: undefined },
    c: { type: Number, default: undefined },
    t: { type: Schema.Types.Mixed, default: undefined },
  },
  {
    collection: 'tollgate_usage',
    strict: 'throw',
    statics: {
      /** Every counter of a subject that was ever used. */
      async allOf(subject: string): Promise<readonly UsageRow[]> {
        const used = { ...keysOf(subject), to: { $type: 'date' } };
        return this.aggregate<UsageRow>([{ $match: used }, { $unset: ['p', 'c', 't'] }]);
      },

      async deleteAllOf(subject: string, session: ClientSession | null): Promise<void> {
        const found = await this.aggregate<UsageRow>([{ $match: keysOf(subject) }]).session(session);
        const ids = { _id: { $in: found.map(({ _id }) => _id) } };
        await this.deleteMany(ids, session ? { session } : {});
      },
    },
  },
);

tollgateSchema(usageSchema);

export type StoredUsage = InferSchemaType<typeof usageSchema>;
export const Usage = accessor('Usage', (connection) => connection.model('Usage', usageSchema));

/** All keys of a subject, which stand together in the index on `_id`. Mongoose cannot cast a range of documents: for pipelines. */
export const keysOf = (s: string) => ({ _id: { $gte: { s, f: '' }, $lt: { s, f: '\u{10ffff}' } } });

/** The end of the period, or null when it never ends. */
export const periodEnd = ({ to }: { to: Date }): Date | null =>
  to.getTime() < endOfTime.getTime() ? to : null;
