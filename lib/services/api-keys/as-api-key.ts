import type { Types } from 'mongoose';
import type { StoredApiKey } from '../../models/api-key.js';
import type { ApiKey } from '../../runtime/api-key.js';

/** The one moment in which a key is shown. */
export interface ShownApiKey extends ApiKey {
  /** The key itself, for the header `X-API-Key`. */
  readonly key: string;
}

export function asApiKey(stored: Omit<StoredApiKey, 'hash'> & { _id: Types.ObjectId }): ApiKey {
  const { _id, organization, scopes, allowedIps, replacedBy } = stored;
  const { name, prefix, expiresAt, usesLeft, lastUsedAt, deletedAt, createdAt } = stored;
  return Object.freeze({
    id: String(_id),
    name,
    prefix,
    scopes: Object.freeze([...scopes]),
    organizationId: organization ? String(organization) : null,
    allowedIps: Object.freeze([...allowedIps]),
    expiresAt: expiresAt ?? null,
    usesLeft: usesLeft ?? null,
    lastUsedAt: lastUsedAt ?? null,
    replacedBy: replacedBy ? String(replacedBy) : null,
    deletedAt: deletedAt ?? null,
    createdAt,
  });
}
