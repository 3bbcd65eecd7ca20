import type { Connection } from 'mongoose';
import type { Origin } from '../../audit/record-audit.js';
import { isTollgateError, refuse } from '../../errors.js';
import { OneTimeTokens } from '../../models/one-time-token.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';
import { type Guess, guess } from '../identity/guessing-budget.js';
import { ask } from './ask.js';
import { endHandshake, type Secrets } from './handshake.js';
import { identityOf, type ProvidedIdentity } from './identity-of.js';
import type { Provider } from './provider.js';

/** Seconds that a handshake may take. */
export const handshakeTtl = 600;

export interface FinishHandshake extends Pick<Guess, 'keyring' | 'credentialRate' | keyof Origin> {
  readonly connection: Connection;
  readonly provider: Provider;
  /** Of the browser that came back with their state. */
  readonly secrets: Secrets;
  readonly code: string;
}

/**
 * Who came back from a provider with `code`. The state is spent in the database before anything else happens, so that it counts
 * once, whichever instances see it. An attempt of which nothing comes, whoever is to blame, counts in the budget of the client's
 * address: each makes the provider work.
 *
 * @throws {TollgateError} `token_used` (400) when the state has been used, `identity_provider_unavailable` (503) when the provider
 *   fails in any way, an id_token that is not genuine among them, `rate_limited` (429)
 */
export async function finishHandshake({
  provider,
  secrets,
  code,
  ...by
}: FinishHandshake): Promise<ProvidedIdentity> {
  const { connection } = by;
  const id = objectId(secrets.state.slice(0, 24)); // 96 of its 160 random bits
  return counted({ ...by, route: 'oauth', failure: 'user.sign-in-failed' }, async () => {
    const fresh = id && (await database(() => OneTimeTokens(connection).spend(id, 'oauth', handshakeTtl)));
    if (!fresh) throw refuse('token_used');
    return ask(async () => identityOf(provider, await endHandshake(provider, secrets, code), secrets));
  });
}

/** `guess()` that spends a point also when the provider fails. */
async function counted<T>(by: Guess, attempt: () => Promise<T>): Promise<T> {
  return guess(by, () =>
    attempt().catch((cause) => {
      throw isTollgateError(cause, 'identity_provider_unavailable') ? refuse('token_used', { cause }) : cause;
    }),
  ).catch((error) => {
    throw isTollgateError(error, 'token_used') ? (error.cause ?? error) : error;
  });
}
