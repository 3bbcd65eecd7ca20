import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';
import {
  type Identity,
  identitySchema,
  passkeySchema,
  passwordSchema,
  type SealedTotp,
  type StoredPasskey,
  totpSchema,
} from './user-credentials.js';

/** The filter of users whose credentials are those of an epoch; an older application's users have none. */
const ofEpoch = (credentialEpoch: number) => ({
  credentialEpoch: { $in: credentialEpoch === 0 ? [0, null] : [credentialEpoch] },
});

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
    apiKeysMade: Number, // grows with every API key, so that making two at once is a conflict
    joins: Number, // grows with every membership and ownership, so that neither comes about while the account ends
    globalActs: Number, // grows with all that is done by global roles, so that none is done by one that is just lost
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
        const judged = { _id: id, ...ofEpoch(credentialEpoch), status: { $ne: 'inactive' as const } };
        const now = { $currentDate: { lastSignInAt: true } } as const;
        return this.findOneAndUpdate(judged, now, { session, returnDocument: 'after' }).lean();
      },

      /**
       * Adds an account elsewhere, as long as the credentials are those of `credentialEpoch` and there is none of its provider.
       * It modifies the user, so that a reset at the same time conflicts with it. Null when nothing was added.
       */
      link(
        id: Types.ObjectId,
        credentialEpoch: number,
        identity: Omit<Identity, 'linkedAt'>,
        session: ClientSession,
      ) {
        const judged = {
          _id: id,
          ...ofEpoch(credentialEpoch),
          status: { $ne: 'inactive' as const },
          'identities.provider': { $ne: identity.provider },
        };
        const $push = { identities: { ...identity, linkedAt: new Date() } };
        return this.findOneAndUpdate(judged, { $push }, { session, returnDocument: 'after' }).lean();
      },

      /** Stores a stronger hash of the password that was verified against `old`; nothing if it was changed since. */
      upgradePassword(
        id: unknown,
        old: string,
        password: { scheme: string; pepperId: string | null; hash: string },
      ) {
        return this.updateOne({ _id: id, 'password.hash': old }, { $set: { password } });
      },

      /** Keeps a TOTP secret until it is proved, in place of one that was not; nothing where a proved one is in use. */
      offerTotp(id: Types.ObjectId, { keyId, secret }: SealedTotp) {
        const totp = { keyId, secret, confirmedAt: null, lastStep: 0, recoveryCodes: [] };
        return this.updateOne({ _id: id, 'totp.confirmedAt': null }, { $set: { totp } });
      },

      /** Uses up the codes of a TOTP secret up to those of `step`, once, and seals it anew where that is given. */
      spendTotp(
        id: Types.ObjectId,
        { secret, step, resealed }: { secret: string; step: number; resealed?: SealedTotp | undefined },
        session: ClientSession,
      ) {
        const unspent = { 'totp.secret': secret, 'totp.lastStep': { $lt: step } };
        const sealed = resealed && { 'totp.keyId': resealed.keyId, 'totp.secret': resealed.secret };
        return this.updateOne(
          { _id: id, 'totp.confirmedAt': { $ne: null }, ...unspent },
          { $set: { 'totp.lastStep': step, ...sealed } },
          { session },
        );
      },

      /** Uses up a recovery code by its hash, once. */
      spendRecoveryCode(id: Types.ObjectId, hash: string, session: ClientSession) {
        const unspent = { _id: id, 'totp.confirmedAt': { $ne: null }, 'totp.recoveryCodes': hash };
        return this.updateOne(unspent, { $pull: { 'totp.recoveryCodes': hash } }, { session });
      },

      /**
       * Notes that an API key is made for a user, as long as the credentials are those of `credentialEpoch` where that is given. It
       * modifies the user: two keys that are made at once conflict, and either with a change of the credentials.
       */
      noteApiKey(id: Types.ObjectId, credentialEpoch: number | undefined, session: ClientSession) {
        const judged = credentialEpoch === undefined ? {} : ofEpoch(credentialEpoch);
        return this.updateOne({ _id: id, ...judged }, { $inc: { apiKeysMade: 1 } }, { session });
      },

      /**
       * Notes that a user becomes a member or an owner; null when there is none of the id, or none that `filter` finds. It modifies the
       * user, so that it conflicts with the end of the account.
       */
      noteJoin(id: Types.ObjectId, filter: { email?: string; emailVerified?: true }, session: ClientSession) {
        const update = { $inc: { joins: 1 } };
        return this.findOneAndUpdate({ _id: id, ...filter }, update, { session, timestamps: false }).lean();
      },

      /** Notes that a user acts by their global roles, and gives them. It modifies the user, so that it conflicts with a change of those. */
      noteAct(id: Types.ObjectId, session: ClientSession) {
        const update = { $inc: { globalActs: 1 } };
        return this.findOneAndUpdate({ _id: id }, update, {
          session,
          timestamps: false,
          projection: { roles: 1 },
        }).lean();
      },

      /**
       * Adds a passkey to those of a user, as long as the credentials are those of `credentialEpoch`, unless it is there or they have
       * `most` of them.
       */
      addPasskey(
        id: Types.ObjectId,
        credentialEpoch: number,
        { passkey, most }: { passkey: StoredPasskey; most: number },
        session: ClientSession,
      ) {
        const room = { 'passkeys.id': { $ne: passkey.id }, [`passkeys.${most - 1}`]: { $exists: false } };
        const judged = { _id: id, ...ofEpoch(credentialEpoch), ...room };
        return this.updateOne(judged, { $push: { passkeys: passkey } }, { session });
      },

      /** Notes the use of a passkey; nothing when its counter did not grow, as with a copy of the authenticator. */
      usePasskey(id: Types.ObjectId, passkey: { id: string; counter: number; backedUp: boolean }) {
        const counter = passkey.counter === 0 ? 0 : { $lt: passkey.counter }; // 0 for ever: it does not count
        return this.updateOne(
          { _id: id, passkeys: { $elemMatch: { id: passkey.id, counter } } },
          {
            $set: { 'passkeys.$.counter': passkey.counter, 'passkeys.$.backedUp': passkey.backedUp },
            $currentDate: { 'passkeys.$.lastUsedAt': true },
          },
        );
      },
    },
  },
);

userSchema.set('timestamps', true);
userSchema.index({ email: 1 }, { unique: true });
userSchema.index({ roles: 1, _id: 1 });
userSchema.index({ roles: 1, email: 1 }); // this and the next two: for the list of users
userSchema.index({ name: 1, _id: 1 });
userSchema.index({ createdAt: 1, _id: 1 });
userSchema.index({ 'identities.issuer': 1, 'identities.subject': 1 }, { unique: true, sparse: true });
userSchema.index({ 'passkeys.id': 1 }, { unique: true, sparse: true });
userSchema.index(
  { 'totp.keyId': 1 },
  { partialFilterExpression: { 'totp.confirmedAt': { $type: 'date' } } }, // for ready(): is a key in use?
);
userSchema.index(
  { 'password.pepperId': 1 },
  { partialFilterExpression: { 'password.pepperId': { $type: 'string' } } }, // for ready(): is a pepper in use?
);
tollgateSchema(userSchema);

/** The paths by which a user signs in: nothing but a sign-in reads them. */
export const credentialPaths = ['password', 'identities', 'passkeys', 'totp'] as const;

/** A user as stored. What a client sees is `User`, in services/identity/as-user.ts. */
export type StoredUser = InferSchemaType<typeof userSchema>;
export const Users = accessor('User', (connection) => connection.model('User', userSchema));
