import { type ClientSession, type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** What an idempotency key is unique in. An embedded document, so that no separator between its parts can be forged. */
export interface ClaimKey {
  /** Whose key it is, such as `user:65a…`: all of theirs stand together in the index. */
  readonly o: string;
  /** The API key that it came by, else another word for the kind of credential. */
  readonly c: string;
  /** Who is charged, `type:id`. */
  readonly s: string;
  readonly m: string;
  /** The path of the route as it is written in the router. */
  readonly r: string;
  /** The feature that is charged; empty: none. */
  readonly f: string;
  readonly k: string;
}

/** The answer that is given again. */
export interface StoredAnswer {
  readonly status: number;
  readonly type: string | null;
  readonly location: string | null;
  readonly body: Buffer | null;
  /** False where the body was too long to be kept, or a stream. */
  readonly isWhole: boolean;
}

/** Which part of which batch decides on something. */
export interface Position {
  readonly b: string;
  readonly i: number;
}

/** A claim as it is stored. */
export interface ClaimRow {
  readonly _id: ClaimKey;
  readonly hash: string;
  readonly run: string;
  readonly until: Date;
  readonly expiresAt: Date;
  readonly charge: Position | null;
  readonly refund: Position | null;
  readonly given: number;
  /** Not there while nothing was given back. */
  readonly giver?: string;
  readonly answer: StoredAnswer | null;
}

/** All keys of an owner, which stand together in the index on `_id`. Mongoose cannot cast a range of documents: for pipelines. */
const keysOf = (o: string) => ({ $gte: { o }, $lt: { o, c: '\u{10ffff}' } });

/**
 * An idempotency key that was used. Only lib/quota writes it.
 *
 * `run` holds it, until `until` unless it says so again; who comes later may then take it over. The part `charge` of a batch was
 * charged for it, if that counted; the part `refund` gives that back, if it counts: then the key is free again. `given` units of
 * the charge were given back before, last by `giver`. `answer` is there once the request has been answered well.
 */
export const claimSchema = new Schema(
  {
    _id: {
      type: new Schema(
        { o: String, c: String, s: String, m: String, r: String, f: String, k: String },
        { _id: false },
      ),
      required: true,
    },
    hash: { type: String, required: true },
    run: { type: String, required: true },
    until: { type: Date, required: true },
    expiresAt: { type: Date, required: true },
    charge: { type: Schema.Types.Mixed, default: null },
    refund: { type: Schema.Types.Mixed, default: null },
    given: { type: Number, default: 0 },
    giver: { type: String },
    answer: { type: Schema.Types.Mixed, default: null },
  },
  {
    collection: 'tollgate_claims',
    strict: 'throw',
    statics: {
      /** The next `limit` claims of an owner behind `after`, in the order of their keys. */
      async pageOf(owner: string, after: ClaimKey | undefined, limit: number): Promise<readonly ClaimRow[]> {
        const next = { ...keysOf(owner), ...(after && { $gt: after }) };
        return this.aggregate<ClaimRow>([
          { $match: { _id: next } },
          { $sort: { _id: 1 } },
          { $limit: limit },
        ]);
      },

      async deleteAllOf(owner: string, session: ClientSession): Promise<void> {
        const mine = { _id: keysOf(owner) };
        const found = await this.aggregate<{ _id: ClaimKey }>([{ $match: mine }, { $project: { _id: 1 } }], {
          session,
        });
        await this.deleteMany({ _id: { $in: found.map(({ _id }) => _id) } }, { session });
      },
    },
  },
);

claimSchema.index({ expiresAt: 1 }, { expireAfterSeconds: 60 }); // housekeeping: whoever reads judges expiry
tollgateSchema(claimSchema);

export type StoredClaim = InferSchemaType<typeof claimSchema>;
export const Claims = accessor('Claim', (connection) => connection.model('Claim', claimSchema));
