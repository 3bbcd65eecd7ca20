import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** A hash with what it takes to verify it: the scheme, and the pepper that was mixed in (null: none). */
const passwordSchema = new Schema(
  {
    scheme: { type: String, required: true },
    pepperId: { type: String, default: null },
    hash: { type: String, required: true },
  },
  { _id: false },
);

export const userSchema = new Schema(
  {
    email: { type: String, required: true }, // canonical form, see services/identity/canonical-email.ts
    emailVerified: { type: Boolean, default: false },
    name: { type: String, default: null },
    roles: { type: [String], default: () => ['user'] },
    status: { type: String, enum: ['active', 'inactive'], default: 'active' },
    password: { type: passwordSchema, default: null },
    credentialEpoch: { type: Number, default: 0 }, // grows with every change of a credential
    lastSignInAt: Date,
    createdAt: Date,
    updatedAt: Date,
  },
  {
    collection: 'users',
    strict: 'throw',
    statics: {
      /**
       * Admits a sign-in that was judged by the credentials of `credentialEpoch`: the user with `lastSignInAt` at the
       * database's time, or null when the credentials have changed since. It modifies the user, so that a reset at
       * the same time conflicts with it.
       */
      admit(id: Types.ObjectId, credentialEpoch: number, session: ClientSession) {
        const epochs = credentialEpoch === 0 ? [0, null] : [credentialEpoch]; // an older application's users have none
        const judged = { _id: id, credentialEpoch: { $in: epochs }, status: { $ne: 'inactive' as const } };
        const now = { $currentDate: { lastSignInAt: true } } as const;
        return this.findOneAndUpdate(judged, now, { session, returnDocument: 'after' }).lean();
      },

      /** Stores a stronger hash of the password that was verified against `old`; nothing if it was changed since. */
      upgradePassword(
        id: unknown,
        old: string,
        password: { scheme: string; pepperId: string | null; hash: string },
      ) {
        return this.updateOne({ _id: id, 'password.hash': old }, { $set: { password } });
      },
    },
  },
);

userSchema.set('timestamps', true);
userSchema.index({ email: 1 }, { unique: true });
tollgateSchema(userSchema);

/** A user as stored. What a client sees is `User`, in services/identity/as-user.ts. */
export type StoredUser = InferSchemaType<typeof userSchema>;
export const Users = accessor('User', (connection) => connection.model('User', userSchema));
