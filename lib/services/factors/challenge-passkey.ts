import { readOptions, type SharedOptions, signingKeys } from '../../runtime/options.js';
import { ceremonyTtl, newChallenge } from './passkey-challenge.js';
import { relyingPartyOf, webauthn } from './webauthn.js';

/**
 * Begins a sign-in by passkey: gives what a page passes to `navigator.credentials.get()`, in JSON
 * (`PublicKeyCredential.parseRequestOptionsFromJSON`, or `startAuthentication({ optionsJSON })`). It names no account: the browser
 * offers the passkeys that it has. Good for 10 minutes, once.
 *
 * @throws {TypeError} without the options `passkeys` and `publicUrl`
 * @example const optionsJSON = await challengePasskey(shared);
 */
export async function challengePasskey(input: SharedOptions): Promise<object> {
  const given = readOptions('challengePasskey', input, signingKeys());
  const { rpID } = relyingPartyOf(given);
  const { generateAuthenticationOptions } = webauthn();
  return generateAuthenticationOptions({
    rpID,
    challenge: newChallenge('passkey sign-in', given.keyring),
    timeout: ceremonyTtl * 1000,
    userVerification: 'required',
  });
}
