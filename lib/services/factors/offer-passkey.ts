import { createHash } from 'node:crypto';
import Joi from 'joi';
import { refuse } from '../../errors.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { ceremonyTtl, newChallenge } from './passkey-challenge.js';
import { userNow } from './user-now.js';
import { relyingPartyOf, webauthn } from './webauthn.js';

export interface OfferPasskey {
  readonly userId: string;
}

/**
 * Begins the registration of a passkey: gives what a page passes to `navigator.credentials.create()`, in JSON
 * (`PublicKeyCredential.parseCreationOptionsFromJSON`, or `startRegistration({ optionsJSON })`). The passkey is discoverable and
 * verifies its user. Good for 10 minutes, once.
 *
 * @throws {TollgateError} `not_found` (404), `database_unavailable` (503)
 * @example const optionsJSON = await offerPasskey({ ...shared, userId: user.id });
 */
export async function offerPasskey(input: OfferPasskey & SharedOptions): Promise<object> {
  const own = { ...signingKeys(), userId: Joi.string().required() };
  const given = readOptions<OfferPasskey>('offerPasskey', input, own);
  const { rpID, rpName } = relyingPartyOf(given);
  const connection = opened(given.connection);
  const { generateRegistrationOptions } = webauthn();
  const { user } = (await userNow(connection, given.userId)) ?? {};
  if (!user) throw refuse('not_found');
  return generateRegistrationOptions({
    rpID,
    rpName,
    userID: userHandleOf(user._id),
    userName: user.email,
    userDisplayName: user.name ?? user.email,
    challenge: newChallenge(`passkey registration of ${user._id}`, given.keyring),
    timeout: ceremonyTtl * 1000,
    excludeCredentials: (user.passkeys ?? []).map(({ id, transports }) => ({ id, transports })),
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  });
}

/** What an authenticator stores to tell the accounts of a site apart: the id, in 64 bytes at most (WebAuthn, section 4: user handle). */
export function userHandleOf(userId: unknown): Uint8Array<ArrayBuffer> {
  const id = Buffer.from(String(userId));
  return Uint8Array.from(id.length <= 64 ? id : createHash('sha256').update(id).digest());
}
