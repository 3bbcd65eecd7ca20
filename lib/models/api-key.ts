import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';
import { referringToUsers } from './user-id.js';

const minute = 60_000;
const beginning = new Date(0);

/** The filter of keys that open something: neither deleted nor used up nor expired, by the database's clock. */
export const liveApiKey = {
  deletedAt: null,
  usesLeft: { $ne: 0 },
  $expr: { $or: [{ $eq: ['$expiresAt', null] }, { $gt: ['$expiresAt', '$$NOW'] }] },
};

/** What is said of a key when it is made. */
export interface ApiKeyIssue {
  readonly user: Types.ObjectId;
  readonly organization: Types.ObjectId | null;
  readonly name: string;
  readonly prefix: string;
  readonly hash: string;
  readonly scopes: readonly string[];
  readonly allowedIps: readonly string[];
  readonly expiresAt: Date | null;
  readonly usesLeft: number | null;
}

/** A key by which a program acts for a user. The key itself is not stored: its hash finds it, its prefix names it to people. */
export const apiKeySchema = new Schema(
  {
    user: { type: Schema.Types.ObjectId, ref: 'User', required: true },
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', default: null }, // null: acts wherever the user may
    name: { type: String, required: true },
    prefix: { type: String, required: true },
    hash: { type: String, required: true }, // SHA-256: there is nothing to guess in 32 random bytes
    scopes: { type: [String], default: [] }, // none: all that the user may do
    allowedIps: { type: [String], default: [] }, // canonical, see runtime/networks.ts; none: from anywhere
    expiresAt: { type: Date, default: null },
    usesLeft: { type: Number, default: null }, // null: not counted, for ever
    lastUsedAt: { type: Date, default: null },
    replacedBy: { type: Schema.Types.ObjectId, ref: 'ApiKey', default: null },
    deletedAt: { type: Date, default: null },
    createdAt: { type: Date, required: true },
  },
  {
    collection: 'tollgate_api_keys',
    strict: 'throw',
    statics: {
      /** Stores a key that begins now, by the database's clock. */
      issue(_id: Types.ObjectId, issue: ApiKeyIssue, session: ClientSession) {
        const facts = { ...issue, lastUsedAt: null, replacedBy: null, deletedAt: null };
        const literal = Object.entries(facts).map(([field, value]) => [field, { $literal: value }]);
        const update = [{ $set: { ...Object.fromEntries(literal), createdAt: '$$NOW' } }];
        const options = { upsert: true, updatePipeline: true, returnDocument: 'after', session } as const;
        return this.findOneAndUpdate({ _id }, update, options).orFail().lean();
      },

      /** How many live keys a user has, up to `limit`. */
      countLive(user: Types.ObjectId, limit: number, session: ClientSession) {
        return this.countDocuments({ user, ...liveApiKey }, { limit, session });
      },

      /** Counts one use of a key whose uses are counted; null when none is left or it is not live any more. */
      spend(id: string) {
        const update = { $inc: { usesLeft: -1 }, $currentDate: { lastUsedAt: true } } as const;
        const counted = { _id: id, ...liveApiKey, usesLeft: { $gt: 0 } };
        return this.findOneAndUpdate(counted, update, { returnDocument: 'after' }).lean();
      },

      /** Notes that the key is in use, unless somebody did within the last minute. */
      touch(id: string) {
        const due = { $lt: [{ $ifNull: ['$lastUsedAt', beginning] }, { $subtract: ['$$NOW', minute] }] };
        return this.updateOne({ _id: id, $expr: due }, { $currentDate: { lastUsedAt: true } });
      },

      /** Deletes a user's key, once, but keeps what was known of it; null when there is none. */
      remove(id: Types.ObjectId, user: Types.ObjectId, session: ClientSession) {
        const update = { $currentDate: { deletedAt: true } } as const;
        return this.findOneAndUpdate({ _id: id, user, deletedAt: null }, update, { session }).lean();
      },

      /** Deletes several keys, whosever they are. */
      removeThese(ids: readonly Types.ObjectId[], session: ClientSession) {
        const update = { $currentDate: { deletedAt: true } } as const;
        return this.updateMany({ _id: { $in: [...ids] }, deletedAt: null }, update, { session });
      },

      /**
       * Puts `successor` in the place of a user's live key, once: the key dies after `overlap` seconds, or at once when its uses
       * are counted, for those move to the successor. Gives the key as it was; null when there is none or it was replaced.
       */
      replace(
        id: Types.ObjectId,
        user: Types.ObjectId,
        { successor, overlap }: { successor: Types.ObjectId; overlap: number },
        session: ClientSession,
      ) {
        const update = {
          replacedBy: successor,
          expiresAt: { $min: ['$expiresAt', { $add: ['$$NOW', overlap * 1000] }] }, // null counts for nothing in $min
          usesLeft: { $cond: [{ $eq: ['$usesLeft', null] }, null, 0] },
        };
        return this.findOneAndUpdate({ _id: id, user, replacedBy: null, ...liveApiKey }, [{ $set: update }], {
          updatePipeline: true,
          returnDocument: 'before',
          session,
        }).lean();
      },
    },
  },
);

apiKeySchema.index({ hash: 1 }, { unique: true });
apiKeySchema.index({ user: 1, _id: 1 });
apiKeySchema.index({ deletedAt: 1 }); // this and what follows: for the clean-up
apiKeySchema.index({ expiresAt: 1 });
apiKeySchema.index({ lastUsedAt: 1 }, { partialFilterExpression: { usesLeft: 0 } });
tollgateSchema(apiKeySchema);

export type StoredApiKey = InferSchemaType<typeof apiKeySchema>;
export const ApiKeys = accessor('ApiKey', (connection) =>
  connection.model('ApiKey', referringToUsers(connection, apiKeySchema)),
);
