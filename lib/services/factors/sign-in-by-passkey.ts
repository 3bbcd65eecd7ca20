import Joi from 'joi';
import type { Connection } from 'mongoose';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Users } from '../../models/user.js';
import type { StoredPasskey } from '../../models/user-credentials.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  signingKeys,
} from '../../runtime/options.js';
import { completeSignIn } from '../identity/complete-sign-in.js';
import { guess } from '../identity/guessing-budget.js';
import type { FoundUser, SignedInSession } from '../sessions/start-session.js';
import { userHandleOf } from './offer-passkey.js';
import type { AuthenticationResponse } from './passkey.js';
import { spendChallenge } from './passkey-challenge.js';
import { relyingPartyOf, webauthn } from './webauthn.js';

export interface PasskeySignIn extends Origin {
  /** What the browser answered to the options of `challengePasskey()`, as JSON. */
  readonly credential: AuthenticationResponse;
  /** How the refresh token will reach the client, fixed for the session's life. Default `cookie`. */
  readonly delivery?: 'cookie' | 'body' | undefined;
}

type Given = PasskeySignIn & ReadSharedOptions & { readonly connection: Connection };

const own = {
  credential: Joi.object().unknown().required(),
  delivery: Joi.valid('cookie', 'body'),
  ...originFields,
};

/**
 * Signs a user in by a passkey (WebAuthn, section 7.2), which is two factors in one: a thing that they have, and what unlocks it.
 * So no second factor is asked for. A challenge is for one attempt.
 *
 * @throws {TollgateError} `token_used` (400) when the challenge is unknown, used or expired (10 minutes); `credentials_invalid`
 *   (401) for an unknown passkey, an answer that is not genuine, of another origin or without user verification, a counter that did
 *   not grow (a copy of the authenticator), and a deactivated user; `rate_limited` (429); `database_unavailable` (503)
 * @example const { accessToken } = await signInByPasskey({ ...shared, credential });
 */
export async function signInByPasskey(input: PasskeySignIn & SharedOptions): Promise<SignedInSession> {
  const read = readOptions<PasskeySignIn>('signInByPasskey', input, { ...signingKeys(), ...own });
  const given = { ...read, connection: opened(read.connection) };
  const { connection, credential, delivery, ip, userAgent, requestId } = given;
  const origin = { ip, userAgent, requestId };
  let claimed: string | undefined;
  const by = { ...given, route: 'passkey', failure: 'user.sign-in-failed', whose: () => claimed };
  const user = await guess(by, async () => {
    const { clientDataJSON } = credential.response;
    const { keyring } = given;
    const challenge = await spendChallenge(connection, 'passkey sign-in', keyring, clientDataJSON);
    const { owner, passkey } = await ownerOf(connection, credential);
    claimed = String(owner._id);
    const use = await provedBy(challenge, passkey, given);
    const noted = await database(() => Users(connection).usePasskey(owner._id, use));
    if (noted.matchedCount === 0) throw refuse('credentials_invalid');
    return owner;
  });
  return completeSignIn({ ...read, ...origin, connection, user, factors: ['passkey'], delivery });
}

/** The user whose passkey it is. The authenticator says so too: it was given their handle when it made the passkey. */
async function ownerOf(
  connection: Connection,
  { id, response }: AuthenticationResponse,
): Promise<{ owner: FoundUser; passkey: StoredPasskey }> {
  const owner = await database(() => Users(connection).findOne({ 'passkeys.id': id }).lean());
  const passkey = owner?.passkeys?.find((each) => each.id === id);
  const handle = owner && Buffer.from(userHandleOf(owner._id)).toString('base64url');
  if (!owner || !passkey || response.userHandle !== handle) throw refuse('credentials_invalid');
  return { owner, passkey };
}

/** What the authenticator has proved, and what is to be remembered of it. */
async function provedBy(
  expectedChallenge: string,
  { id, publicKey, counter, transports }: StoredPasskey,
  given: Given,
): Promise<{ id: string; counter: number; backedUp: boolean }> {
  const { rpID, origins } = relyingPartyOf(given);
  const { verifyAuthenticationResponse } = webauthn();
  const { verified, authenticationInfo } = await verifyAuthenticationResponse({
    response: given.credential as Parameters<typeof verifyAuthenticationResponse>[0]['response'],
    expectedChallenge,
    expectedOrigin: origins,
    expectedRPID: rpID,
    requireUserVerification: true,
    credential: { id, publicKey: Uint8Array.from(Buffer.from(publicKey, 'base64url')), counter, transports },
  }).catch((cause: Error) => {
    throw refuse('credentials_invalid', { cause });
  });
  if (!verified) throw refuse('credentials_invalid');
  return { id, counter: authenticationInfo.newCounter, backedUp: authenticationInfo.credentialBackedUp };
}
