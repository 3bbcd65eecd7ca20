import type { Connection } from 'mongoose';
import { type ApiKeyOf, apiKeyOf, recordUse } from '../../services/api-keys/api-key-of.js';
import type { CredentialReader, Found } from './credential-of.js';
import { noClaims } from './signed-in.js';

const noFactors: readonly string[] = Object.freeze([]);

/** What a request goes ahead by, of keys whose uses are counted: it takes one use, however many guards read the key. */
const claimed = new WeakMap<object, { readonly key: string; readonly found: Found }>();

/** Reads the API key in the header `X-API-Key`. Its use counts when the request goes ahead by it. */
export const apiKeyReader: CredentialReader = (presented, connection) => {
  const { headers, strict, request } = presented;
  const key = headers['x-api-key'] as string | undefined; // joined by Node where there are several
  if (!key) return undefined;
  const before = claimed.get(request);
  if (before?.key === key) return Promise.resolve(before.found);
  const ip = () => presented.ip();
  return found(connection, { key, ip, strict }, (claim) => claimed.set(request, { key, found: claim }));
};

async function found(
  connection: Connection,
  presented: ApiKeyOf,
  remember: (claim: Found) => void,
): Promise<Found> {
  const live = await apiKeyOf(connection, presented);
  const { user, apiKey } = live;
  const claims = noClaims;
  const state = { user, session: null, apiKey, credential: 'apiKey', factors: noFactors, claims } as const;
  const claim = async () => {
    const now = { ...state, apiKey: await recordUse(connection, live) };
    if (apiKey.usesLeft !== null) remember({ state: now, ambient: false });
    return now;
  };
  return { state, ambient: false, claim };
}
