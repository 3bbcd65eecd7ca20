import type { Types } from 'mongoose';
import type { StoredApiKey } from '../../models/api-key.js';

/** An API key as `ctx.state.apiKey` holds it, and as a client sees it: never the key itself, nor its hash. Frozen. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** The first characters of the key: enough to recognize it by. */
  readonly prefix: string;
  /** Permission codes that it is restricted to; an empty list restricts nothing. */
  readonly scopes: readonly string[];
  /** The only organization that it acts in; null: wherever its user is a member. */
  readonly organizationId: string | null;
  /** Addresses and networks that it may be used from; an empty list: from anywhere. */
  readonly allowedIps: readonly string[];
  readonly expiresAt: Date | null;
  /** Null: its uses are not counted. */
  readonly usesLeft: number | null;
  /** Accurate to a minute. */
  readonly lastUsedAt: Date | null;
  /** The id of the key that took its place. */
  readonly replacedBy: string | null;
  readonly deletedAt: Date | null;
  readonly createdAt: Date;
}

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
