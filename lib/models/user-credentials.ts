import { type InferSchemaType, Schema } from 'mongoose';

/** A hash with what it takes to verify it: the scheme, and the pepper that was mixed in (null: none). */
export const passwordSchema = new Schema(
  {
    scheme: { type: String, required: true },
    pepperId: { type: String, default: null },
    hash: { type: String, required: true },
  },
  { _id: false },
);

/** An account elsewhere by which the user signs in: what names it is the issuer and the subject there, never the e-mail. */
export const identitySchema = new Schema(
  {
    provider: { type: String, required: true }, // our name of it, such as google
    issuer: { type: String, required: true },
    subject: { type: String, required: true },
    email: { type: String, default: null }, // as the provider said it, to be shown
    linkedAt: { type: Date, required: true },
  },
  { _id: false },
);

export type Identity = InferSchemaType<typeof identitySchema>;

/** A WebAuthn credential, of which only the public half is known. */
export const passkeySchema = new Schema(
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
export const totpSchema = new Schema(
  {
    keyId: { type: String, required: true },
    secret: { type: String, required: true },
    confirmedAt: { type: Date, default: null }, // null: shown, but not proved yet
    lastStep: { type: Number, default: 0 }, // a code of this step or an earlier one has been used
    recoveryCodes: { type: [String], default: [] },
  },
  { _id: false },
);

/** A TOTP secret as it is stored, and the signing key that it is encrypted under. */
export interface SealedTotp {
  readonly keyId: string;
  readonly secret: string;
}

export type StoredPasskey = InferSchemaType<typeof passkeySchema>;
