import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** One document for each sign-in: the family of the refresh tokens that descend from it. */
export const sessionSchema = new Schema(
  {
    user: { type: Schema.Types.ObjectId, ref: 'User', required: true },
    credentialEpoch: { type: Number, required: true },
    delivery: { type: String, enum: ['cookie', 'body'], required: true }, // fixed at birth: a script never gets a cookie's token
    macKeyId: { type: String, required: true },
    currentHash: { type: String, required: true },
    generation: { type: Number, default: 0 },
    factors: [String],
    ip: String,
    userAgent: String,
    authenticatedAt: { type: Date, required: true },
    lastUsedAt: { type: Date, required: true },
    expiresAt: { type: Date, required: true },
    revokedAt: { type: Date, default: null },
    createdAt: Date,
  },
  {
    collection: 'tollgate_sessions',
    strict: 'throw',
    statics: {
      /** Ends a session; null when it is unknown or has ended already. */
      end(id: Types.ObjectId, session: ClientSession) {
        const live = { _id: id, revokedAt: null };
        return this.findOneAndUpdate(
          live,
          { $currentDate: { revokedAt: true } },
          { session, projection: { user: 1 } },
        ).lean();
      },

      /** The ids of a user's sessions that have not ended, all of which end now. */
      async endAll(user: Types.ObjectId, session: ClientSession): Promise<string[]> {
        const live = { user, revokedAt: null };
        const ended = await this.find(live, { _id: 1 }, { session }).lean();
        await this.updateMany(live, { $currentDate: { revokedAt: true } }, { session });
        return ended.map(({ _id }) => String(_id));
      },
    },
  },
);

sessionSchema.set('timestamps', { createdAt: true, updatedAt: false });
sessionSchema.index({ user: 1, revokedAt: 1 });
sessionSchema.index({ expiresAt: 1 }, { expireAfterSeconds: 86_400 }); // housekeeping: reads judge expiry
tollgateSchema(sessionSchema);

export type StoredSession = InferSchemaType<typeof sessionSchema>;
export const Sessions = accessor('Session', (connection) => connection.model('Session', sessionSchema));
