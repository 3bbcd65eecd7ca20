import { type Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { OneTimeTokens } from '../../models/one-time-token.js';
import { database } from '../../runtime/database.js';
import type { Key } from '../../runtime/keyring.js';
import { linkToken, readLinkToken } from '../../runtime/one-time-codes.js';

/** Seconds in which the ceremony must end; the browser is told so too. */
export const ceremonyTtl = 600;

/** What a challenge is good for; that of a registration serves one user. */
export type Ceremony = 'passkey sign-in' | `passkey registration of ${string}`;

/**
 * Makes the challenge of a ceremony. It is itself the one-time token: the authenticator signs it, the browser sends it back in
 * `clientDataJSON`, and so a client has nothing else to keep. The database hears of it when it is answered, and not of those that strangers
 * ask for without end.
 */
export const newChallenge = (ceremony: Ceremony, keyring: readonly Key[]): string =>
  linkToken(ceremony, new Types.ObjectId(), keyring);

/**
 * Uses up the challenge of an answer, whatever comes of the attempt; gives it as the browser writes it.
 *
 * @throws {TollgateError} `token_used` (400) unless it was made by us for this ceremony, and is neither used nor expired
 */
export async function spendChallenge(
  connection: Connection,
  ceremony: Ceremony,
  keyring: readonly Key[],
  clientDataJSON: string,
): Promise<string> {
  const challenge = challengeText(clientDataJSON);
  const id = readLinkToken(ceremony, Buffer.from(challenge, 'base64url').toString(), keyring);
  if (!id || id.getTimestamp().getTime() + ceremonyTtl * 1000 < Date.now()) throw refuse('token_used');
  const fresh = await database(() => OneTimeTokens(connection).spend(id, 'passkey', ceremonyTtl));
  if (!fresh) throw refuse('token_used');
  return challenge;
}

function challengeText(clientDataJSON: string): string {
  try {
    const { challenge } = JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString());
    return typeof challenge === 'string' ? challenge : '';
  } catch {
    return ''; // whatever it is, it is no answer to a challenge of ours
  }
}
