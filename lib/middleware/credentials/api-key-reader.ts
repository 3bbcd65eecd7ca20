import type { Connection } from 'mongoose';
import { clientAddress } from '../../runtime/client-address.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { type ApiKeyOf, apiKeyOf, recordUse } from '../../services/api-keys/api-key-of.js';
import type { CredentialReader, Found } from './credential-of.js';
import { noClaims } from './signed-in.js';

const noFactors: readonly string[] = Object.freeze([]);

/** Reads the API key in the header `X-API-Key`. Its use counts when the request goes ahead by it. */
export function apiKeyReader({ strict, trustedProxies }: ReadSharedOptions): CredentialReader {
  return function byApiKey(ctx, connection) {
    const key = ctx.req.headers['x-api-key'];
    if (!key) return undefined;
    return found(connection, { key: String(key), ip: () => clientAddress(ctx, trustedProxies), strict });
  };
}

async function found(connection: Connection, presented: ApiKeyOf): Promise<Found> {
  const live = await apiKeyOf(connection, presented);
  const { user, apiKey } = live;
  const claims = noClaims;
  const state = { user, session: null, apiKey, credential: 'apiKey', factors: noFactors, claims } as const;
  const claim = async () => ({ ...state, apiKey: await recordUse(connection, live) });
  return { state, ambient: false, claim };
}
