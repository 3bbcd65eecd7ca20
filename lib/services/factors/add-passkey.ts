import Joi from 'joi';
import { refuse } from '../../errors.js';
import { notifyCredential } from '../../mail/notify-credential.js';
import { Users } from '../../models/user.js';
import type { StoredPasskey } from '../../models/user-credentials.js';
import { opened } from '../../runtime/connection.js';
import { isDuplicate } from '../../runtime/database.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  signingKeys,
} from '../../runtime/options.js';
import { transaction } from '../../runtime/transaction.js';
import { requireLiveSession } from '../sessions/require-live-session.js';
import { type Asker, askerFields } from './asker.js';
import { auditFactor } from './audit-factor.js';
import { asPasskey, type Passkey, type RegistrationResponse } from './passkey.js';
import { spendChallenge } from './passkey-challenge.js';
import { userNow } from './user-now.js';
import { relyingPartyOf, webauthn } from './webauthn.js';

export interface AddPasskey extends Asker {
  /** What the browser answered to the options of `offerPasskey()`, as JSON. */
  readonly credential: RegistrationResponse;
  /** By which its owner tells it from others. */
  readonly name?: string | undefined;
}

/** More than anybody has devices. */
const most = 20;

const own = {
  ...askerFields,
  credential: Joi.object().unknown().required(),
  name: Joi.string().max(100),
};

/**
 * Ends the registration of a passkey (WebAuthn, section 7.1): checks what the authenticator says, and adds the passkey to those of
 * its user. Sessions go on.
 *
 * @throws {TollgateError} `token_used` (400) when the challenge is unknown, used, expired (10 minutes) or another user's;
 *   `validation_failed` (400) when the answer is not genuine, of another origin, or without user verification; `conflict` (409)
 *   when the passkey is registered already, or the user has 20; `session_revoked` (401) when the session that asks has ended;
 *   `database_unavailable` (503)
 * @example await addPasskey({ ...shared, userId: user.id, sessionId: session.id, credential, name: 'Phone' });
 */
export async function addPasskey(input: AddPasskey & SharedOptions): Promise<Passkey> {
  const given = readOptions<AddPasskey>('addPasskey', input, { ...signingKeys(), ...own });
  const connection = opened(given.connection);
  const { credential, keyring } = given;
  const { clientDataJSON } = credential.response;
  const ceremony = `passkey registration of ${given.userId}` as const;
  const challenge = await spendChallenge(connection, ceremony, keyring, clientDataJSON);
  const proved = await provedBy(challenge, given);
  const { user, now } = (await userNow(connection, given.userId)) ?? {};
  if (!user || !now) throw refuse('not_found');
  const passkey = { ...proved, name: given.name ?? null, createdAt: now, lastUsedAt: null };
  await transaction(connection, async (session) => {
    const { sessionId } = given;
    const epoch = await requireLiveSession(connection, session, { user: user._id, sessionId });
    const added = await Users(connection).addPasskey(user._id, epoch, { passkey, most }, session);
    if (added.modifiedCount === 0)
      throw refuse('conflict', { detail: `It is registered, or there are ${most}` });
    await auditFactor(connection, session, given, {
      action: 'factor.passkey-added',
      passkey: passkey.id,
    });
    const notice = { to: user.email, change: 'added', credential: 'a passkey' } as const;
    await notifyCredential(connection, session, notice, given);
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'passkeys.id')
      ? refuse('conflict', { detail: 'It is registered already' })
      : error;
  });
  return asPasskey(passkey);
}

/** What the authenticator has proved of a new passkey. */
async function provedBy(
  expectedChallenge: string,
  given: AddPasskey & ReadSharedOptions,
): Promise<Omit<StoredPasskey, 'name' | 'createdAt' | 'lastUsedAt'>> {
  const { rpID, origins } = relyingPartyOf(given);
  const { verifyRegistrationResponse } = webauthn();
  const { credential: response } = given;
  const { registrationInfo } = await verifyRegistrationResponse({
    response: response as Parameters<typeof verifyRegistrationResponse>[0]['response'],
    expectedChallenge,
    expectedOrigin: origins,
    expectedRPID: rpID,
    requireUserVerification: true,
  }).catch((error: Error) => {
    throw refuse('validation_failed', { errors: [{ path: 'response', message: error.message }] });
  });
  if (!registrationInfo)
    throw refuse('validation_failed', { errors: [{ path: 'response', message: 'is not genuine' }] });
  const { id, publicKey, counter } = registrationInfo.credential;
  return {
    id,
    publicKey: Buffer.from(publicKey).toString('base64url'),
    counter,
    transports: response.response.transports ?? [],
    backedUp: registrationInfo.credentialBackedUp,
  };
}
