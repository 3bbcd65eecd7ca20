import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';
import { referringToUsers } from './user-id.js';

/** Which session a refresh token belongs to, and by which way it came. */
export interface RefreshFamily {
  readonly _id: Types.ObjectId;
  readonly delivery: 'cookie' | 'body';
}

export interface NextToken {
  readonly hash: string;
  readonly macKeyId: string;
}

/** In seconds. */
export interface RefreshTimes {
  readonly refreshTtl: number;
  readonly refreshGrace: number;
}

/** One session, or all of a user: but for one, and only those that began by the credentials of an epoch or earlier. */
export type SessionChoice =
  | { readonly _id: Types.ObjectId; readonly user?: Types.ObjectId }
  | { readonly user: Types.ObjectId; readonly credentialEpoch: { $lte: number } }
  | {
      readonly user: Types.ObjectId;
      readonly _id?: { readonly $ne: Types.ObjectId } | { readonly $in: readonly Types.ObjectId[] };
    };

export interface OwnSession {
  readonly _id: Types.ObjectId;
  readonly user: Types.ObjectId;
}

/** The filter of sessions that have neither been ended nor expired, by the database's clock. */
export const liveSession = { revokedAt: null, $expr: { $gt: ['$expiresAt', '$$NOW'] } };

/** One document for each sign-in: the family of the refresh tokens that descend from it. */
export const sessionSchema = new Schema(
  {
    user: { type: Schema.Types.ObjectId, ref: 'User', required: true },
    credentialEpoch: { type: Number, required: true },
    delivery: { type: String, enum: ['cookie', 'body'], required: true }, // fixed at birth: a script never gets a cookie's token
    macKeyId: { type: String, required: true }, // the signing key of the current token
    currentHash: { type: String, required: true },
    previousHash: { type: String, default: null },
    successorSeen: { type: Boolean, default: false }, // whether the current token has ever been presented
    generation: { type: Number, default: 0 },
    rotatedAt: { type: Date, required: true },
    factors: [String],
    ip: String,
    userAgent: String,
    authenticatedAt: { type: Date, required: true },
    silent: { type: Boolean, default: false }, // nobody knows whether the user proved anything then: an identity provider did not say
    lastUsedAt: { type: Date, required: true },
    expiresAt: { type: Date, required: true }, // slides with every refresh
    absoluteExpiresAt: { type: Date, required: true },
    revokedAt: { type: Date, default: null },
    createdAt: Date,
  },
  {
    collection: 'tollgate_sessions',
    strict: 'throw',
    statics: {
      /**
       * Puts `next` in the place of the token that hashes to `presented`, if that is the current one of a live session;
       * within `refreshGrace` seconds after it was made it stays the current one. Null when another token is current.
       */
      rotate(
        family: RefreshFamily,
        presented: string,
        next: NextToken,
        { refreshTtl, refreshGrace }: RefreshTimes,
      ) {
        const live = { $and: [{ $gt: ['$expiresAt', '$$NOW'] }, { $gt: ['$absoluteExpiresAt', '$$NOW'] }] };
        const filter = { ...family, currentHash: presented, revokedAt: null, $expr: live };
        const inGrace = { $gt: ['$rotatedAt', { $subtract: ['$$NOW', refreshGrace * 1000] }] };
        const unless = (field: string, value: unknown) => ({ $cond: [inGrace, field, value] });
        const update = {
          previousHash: unless('$previousHash', presented),
          currentHash: unless('$currentHash', next.hash),
          macKeyId: unless('$macKeyId', next.macKeyId),
          generation: unless('$generation', { $add: ['$generation', 1] }),
          rotatedAt: unless('$rotatedAt', '$$NOW'),
          successorSeen: inGrace, // presented and kept: seen; a new one: not yet
          lastUsedAt: '$$NOW',
          expiresAt: { $min: [{ $add: ['$$NOW', refreshTtl * 1000] }, '$absoluteExpiresAt'] },
        };
        return this.findOneAndUpdate(filter, [{ $set: update }], {
          updatePipeline: true,
          returnDocument: 'after',
        }).lean();
      },

      /** Notes that the user of a live session, by the credentials of `credentialEpoch`, has just proved `factor`. */
      prove(which: OwnSession, credentialEpoch: number, factor: string, session: ClientSession) {
        return this.updateOne(
          { ...which, credentialEpoch, ...liveSession },
          {
            $set: { silent: false },
            $currentDate: { authenticatedAt: true },
            $addToSet: { factors: factor },
          },
          { session },
        );
      },

      /** Lets a live session by the credentials of one epoch go on by those of `next`. */
      keep(which: OwnSession & { readonly credentialEpoch: number }, next: number, session: ClientSession) {
        return this.updateOne({ ...which, ...liveSession }, { $set: { credentialEpoch: next } }, { session });
      },

      /** Ends the live sessions that `which` selects; gives them. */
      async end(which: SessionChoice, session: ClientSession) {
        const live = { ...which, ...liveSession };
        const ended = await this.find(live, { user: 1, credentialEpoch: 1 }, { session }).lean();
        const ids = { _id: { $in: ended.map(({ _id }) => _id) }, revokedAt: null };
        if (ended.length > 0) await this.updateMany(ids, { $currentDate: { revokedAt: true } }, { session });
        return ended;
      },
    },
  },
);

sessionSchema.set('timestamps', { createdAt: true, updatedAt: false });
sessionSchema.index({ user: 1, revokedAt: 1, _id: 1 });
sessionSchema.index({ expiresAt: 1 }, { expireAfterSeconds: 86_400 }); // housekeeping: reads judge expiry
tollgateSchema(sessionSchema);

export type StoredSession = InferSchemaType<typeof sessionSchema>;
export const Sessions = accessor('Session', (connection) =>
  connection.model('Session', referringToUsers(connection, sessionSchema)),
);
