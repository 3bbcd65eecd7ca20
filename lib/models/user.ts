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

/** An account elsewhere by which the user signs in: what names it is the issuer and the subject there, never the e-mail. */
const identitySchema = new Schema(
  {
    provider: { type: String, required: true }, // our name of it, such as google
    issuer: { type: String, required: true },
    subject: { type: String, required: true },
    email: { type: String, default: null }, // as the provider said it, to be shown
    linkedAt: { type: Date, required: true },
  },
  { _id: false },
);

/** A WebAuthn credential, of which only the public half is known. */
const passkeySchema = new Schema(
  {
    id: { type: String, required: true }, // base64url, as browsers send it
    publicKey: { type: String, required: true }, // COSE, base64url
    counter: { type: Number, required: true },
    transports: { type: [String], default: [] },
    backedUp: { type: Boolean, default: false },
    name: { type: String, default: null },
    createdAt: { type: Date, required: true },
    lastUsedAt: { type: Date, default: null },
  },
  { _id: false },
);

/** A TOTP secret (RFC 6238), encrypted under a signing key, and the hashes of the recovery codes that go with it. */
const totpSchema = new Schema(
  {
    keyId: { type: String, required: true },
    secret: { type: String, required: true },
    confirmedAt: { type: Date, default: null }, // null: shown, but not proved yet
    lastStep: { type: Number, default: 0 }, // a code of this step or an earlier one has been used
    recoveryCodes: { type: [String], default: [] },
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
    identities: { type: [identitySchema], default: undefined },
    passkeys: { type: [passkeySchema], default: undefined },
    totp: { type: totpSchema, default: null },
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
userSchema.index({ 'identities.issuer': 1, 'identities.subject': 1 }, { unique: true, sparse: true });
userSchema.index({ 'passkeys.id': 1 }, { unique: true, sparse: true });
tollgateSchema(userSchema);

/** The paths by which a user signs in: nothing but a sign-in reads them. */
export const credentialPaths = ['password', 'identities', 'passkeys', 'totp'] as const;

/** A user as stored. What a client sees is `User`, in services/identity/as-user.ts. */
export type StoredUser = InferSchemaType<typeof userSchema>;
export const Users = accessor('User', (connection) => connection.model('User', userSchema));
