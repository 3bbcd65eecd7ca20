import { type ClientSession, type InferSchemaType, Schema, Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';
import { referringToUsers } from './user-id.js';

/** What a token is good for; it is redeemed for nothing else. */
export const tokenPurposes = [
  'sign-up',
  'email-change',
  'password-reset',
  'otp',
  'second-factor',
  'passkey',
  'oauth',
  'telegram',
] as const;
export type TokenPurpose = (typeof tokenPurposes)[number];

/** What is known of a token when it is issued. */
export interface TokenIssue {
  readonly purpose: TokenPurpose;
  /** The canonical address that it proves, for tokens that are mailed. */
  readonly email?: string | undefined;
  readonly user?: Types.ObjectId | undefined;
  /** The epoch of the user's credentials: the token dies when they change. */
  readonly credentialEpoch?: number | undefined;
  /** What its redemption needs, such as a pending password. */
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  /** Seconds. */
  readonly ttl: number;
}

/**
 * A token that is redeemed once. Only its id is stored: the text that its bearer presents is derived from the id by a signing
 * key, so that nobody can find it in a dump of the database.
 */
export const oneTimeTokenSchema = new Schema(
  {
    purpose: { type: String, enum: tokenPurposes, required: true },
    email: { type: String, default: null },
    user: { type: Schema.Types.ObjectId, ref: 'User', default: null }, // null until its mail is sent: nobody can redeem it
    credentialEpoch: { type: Number, default: null },
    data: { type: Schema.Types.Mixed, default: {} },
    createdAt: { type: Date, required: true },
    expiresAt: { type: Date, required: true },
  },
  {
    collection: 'tollgate_one_time_tokens',
    strict: 'throw',
    minimize: false,
    statics: {
      /** Stores a token that expires by the database's clock; gives its id. */
      async issue({ ttl, ...given }: TokenIssue, session?: ClientSession): Promise<Types.ObjectId> {
        const _id = new Types.ObjectId();
        const { purpose, email = null, user = null, credentialEpoch = null, data = {} } = given;
        const facts = { purpose, email, user, credentialEpoch, data };
        const literal = Object.entries(facts).map(([field, value]) => [field, { $literal: value }]);
        const times = { createdAt: '$$NOW', expiresAt: { $add: ['$$NOW', ttl * 1000] } };
        await this.updateOne({ _id }, [{ $set: { ...Object.fromEntries(literal), ...times } }], {
          upsert: true,
          updatePipeline: true,
          ...(session && { session }),
        });
        return _id;
      },

      /** Binds a token that is about to be mailed to its account; null when it is gone or bound to another. */
      bind(id: Types.ObjectId, user: Types.ObjectId, credentialEpoch: number) {
        return this.findOneAndUpdate(
          { _id: id, user: { $in: [null, user] }, ...liveToken },
          { $set: { user, credentialEpoch } },
          { returnDocument: 'after' },
        ).lean();
      },

      /** Takes a token out of circulation, once; null when it is unknown, used, expired or meant for something else. */
      redeem(id: Types.ObjectId, purpose: TokenPurpose, session?: ClientSession) {
        return this.findOneAndDelete({ _id: id, purpose, ...liveToken }, session ? { session } : {}).lean();
      },

      /** Notes the use of what others have issued and nobody may use twice: false when `id` has been used before. */
      async spend(id: Types.ObjectId, purpose: TokenPurpose, ttl: number): Promise<boolean> {
        const first = (field: string, value: unknown) => ({ $ifNull: [`$${field}`, value] });
        const facts = {
          purpose: first('purpose', purpose),
          createdAt: first('createdAt', '$$NOW'),
          expiresAt: first('expiresAt', { $add: ['$$NOW', ttl * 1000] }), // only tells when it may be forgotten
        };
        const options = { upsert: true, updatePipeline: true } as const;
        const { upsertedCount } = await this.updateOne({ _id: id }, [{ $set: facts }], options);
        return upsertedCount === 1;
      },
    },
  },
);

/** The filter of tokens that have not expired, by the database's clock. */
export const liveToken = { $expr: { $gt: ['$expiresAt', '$$NOW'] } };

oneTimeTokenSchema.index({ email: 1, purpose: 1, createdAt: -1 });
oneTimeTokenSchema.index({ user: 1, purpose: 1 });
oneTimeTokenSchema.index({ expiresAt: 1 }, { expireAfterSeconds: 86_400 }); // housekeeping: reads judge expiry
tollgateSchema(oneTimeTokenSchema);

export type StoredOneTimeToken = InferSchemaType<typeof oneTimeTokenSchema>;
export const OneTimeTokens = accessor('OneTimeToken', (connection) =>
  connection.model('OneTimeToken', referringToUsers(connection, oneTimeTokenSchema)),
);
