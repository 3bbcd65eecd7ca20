import Joi from 'joi';
import type { StoredPasskey } from '../../models/user-credentials.js';

/** A passkey as its owner sees it. */
export interface Passkey {
  /** In base64url, as browsers write it. */
  readonly id: string;
  readonly name: string | null;
  /** How the authenticator is reached, such as `internal`, `hybrid` or `usb`. */
  readonly transports: readonly string[];
  /** Whether it is synchronized, and so survives the loss of a device. */
  readonly backedUp: boolean;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
}

export function asPasskey(stored: StoredPasskey): Passkey {
  const { id, name = null, transports = [], backedUp = false, createdAt, lastUsedAt = null } = stored;
  return Object.freeze({ id, name, transports: [...transports], backedUp, createdAt, lastUsedAt });
}

/** What every answer of an authenticator has, in the JSON form of WebAuthn Level 3. */
interface Credential {
  readonly id: string;
  readonly rawId: string;
  readonly type: 'public-key';
  readonly authenticatorAttachment?: 'platform' | 'cross-platform' | null | undefined;
  readonly clientExtensionResults: object;
}

/** `PublicKeyCredential.toJSON()` after `navigator.credentials.create()`. */
export interface RegistrationResponse extends Credential {
  readonly response: {
    readonly clientDataJSON: string;
    readonly attestationObject: string;
    readonly transports?: string[] | undefined;
  };
}

/** `PublicKeyCredential.toJSON()` after `navigator.credentials.get()`. */
export interface AuthenticationResponse extends Credential {
  readonly response: {
    readonly clientDataJSON: string;
    readonly authenticatorData: string;
    readonly signature: string;
    readonly userHandle?: string | null | undefined;
  };
}

const base64url = Joi.string().pattern(/^[\w-]+$/, 'base64url');

/** At most 1,023 bytes (WebAuthn, section 4: credential id). */
export const passkeyId = base64url.max(1_364);

export const credentialFields = {
  id: passkeyId,
  rawId: passkeyId,
  type: Joi.valid('public-key') as Joi.AnySchema<'public-key'>,
  clientExtensionResults: Joi.object<object>().unknown(),
};

export const credentialOptions = {
  authenticatorAttachment: Joi.valid('platform', 'cross-platform', null) as Joi.AnySchema<
    'platform' | 'cross-platform' | null
  >,
};

/** What a browser adds to them later on is no reason to refuse a user: only what is known is read. */
export const registrationResponse = Joi.object<RegistrationResponse['response']>({
  clientDataJSON: base64url.required(),
  attestationObject: base64url.required(),
  transports: Joi.array().items(Joi.string().max(32)).max(10),
}).unknown();

export const authenticationResponse = Joi.object<AuthenticationResponse['response']>({
  clientDataJSON: base64url.required(),
  authenticatorData: base64url.required(),
  signature: base64url.required(),
  userHandle: base64url.allow(null),
}).unknown();
