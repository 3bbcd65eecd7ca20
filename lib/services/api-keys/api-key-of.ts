import { LRUCache } from 'lru-cache';
import type { Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { ApiKeys, liveApiKey, type StoredApiKey } from '../../models/api-key.js';
import { Memberships } from '../../models/membership.js';
import { Organizations } from '../../models/organization.js';
import { credentialPaths, type StoredUser, Users } from '../../models/user.js';
import type { ApiKey } from '../../runtime/api-key.js';
import { database } from '../../runtime/database.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import { isWithin, type Network, readNetwork } from '../../runtime/networks.js';
import { perConnection } from '../../runtime/per-connection.js';
import type { User } from '../../runtime/user.js';
import { asUser } from '../identity/as-user.js';
import { hashOfApiKey } from './api-key-text.js';
import { asApiKey } from './as-api-key.js';

/** A key that counts now, with its user. Frozen: several requests share it. */
export interface LiveApiKey {
  readonly user: User;
  readonly apiKey: ApiKey;
  readonly hash: string;
  readonly networks: readonly Network[];
  /** When it expires, by this process's monotonic clock, in milliseconds. */
  readonly endsAt: number;
}

export interface ApiKeyOf {
  readonly key: string;
  /** Where the request comes from, in canonical form; undefined: unknown. Asked only for a key that is not for anywhere. */
  readonly ip: () => string | undefined;
  /** True reads it from the database whatever is remembered. */
  readonly strict: boolean;
}

const live = freshCache<LiveApiKey>(50_000);

/** Whose change may change what a key opens. */
const subjectsOf = ({ user, apiKey }: LiveApiKey): readonly string[] => [
  `api-key:${apiKey.id}`,
  `user:${user.id}`,
  ...(apiKey.organizationId ? [`organization:${apiKey.organizationId}`] : []),
];

/**
 * The key that a request presents, with its user: in one command, and remembered until either changes. What is no key at all
 * is refused without asking. A use is not counted yet: see `recordUse`.
 *
 * @throws {TollgateError} `token_invalid` (401) when it is malformed, unknown, deleted, expired or used up, or its user left the
 *   organization that it is for; `user_inactive` (403), `ip_not_allowed` (403); `database_unavailable` (503)
 */
export async function apiKeyOf(connection: Connection, { key, ip, strict }: ApiKeyOf): Promise<LiveApiKey> {
  const hash = hashOfApiKey(key);
  if (!hash) throw refuse('token_invalid');
  const found = await live(connection).get(hash, subjectsOf, () => read(connection, hash), strict);
  if (found.endsAt <= performance.now()) throw refuse('token_invalid');
  if (!mayComeFrom(found.networks, ip)) throw refuse('ip_not_allowed');
  return found;
}

function mayComeFrom(networks: readonly Network[], ip: ApiKeyOf['ip']): boolean {
  if (networks.length === 0) return true;
  const address = ip();
  return address !== undefined && isWithin(address, networks);
}

type Joined = StoredApiKey & {
  _id: Types.ObjectId;
  now: Date;
  users: (StoredUser & { _id: Types.ObjectId })[];
  memberships: unknown[];
  organizations: unknown[];
};

/** Whether the key's user is a member of the organization that it is for, which is still there. */
const belongs = ({ organization, memberships, organizations }: Joined): boolean =>
  !organization || (memberships.length > 0 && organizations.length > 0);

const hidden = Object.fromEntries(credentialPaths.map((path) => [`users.${path}`, 0]));

async function read(connection: Connection, hash: string): Promise<LiveApiKey> {
  const users = Users(connection);
  const [found] = await ApiKeys(connection).aggregate<Joined>([
    { $match: { hash, ...liveApiKey } },
    { $lookup: { from: users.collection.name, localField: 'user', foreignField: '_id', as: 'users' } },
    {
      $lookup: {
        from: Memberships(connection).collection.name,
        localField: 'user',
        foreignField: 'user',
        let: { organization: '$organization' },
        pipeline: [{ $match: { $expr: { $eq: ['$organization', '$$organization'] } } }],
        as: 'memberships',
      },
    },
    {
      $lookup: {
        from: Organizations(connection).collection.name,
        localField: 'organization',
        foreignField: '_id',
        pipeline: [{ $project: { _id: 1 } }],
        as: 'organizations',
      },
    },
    { $project: { ...hidden, hash: 0 } },
    { $set: { now: '$$NOW' } },
  ]);
  const user = found?.users[0];
  if (!found || !user || !belongs(found)) throw refuse('token_invalid');
  if (user.status === 'inactive') throw refuse('user_inactive');
  const { expiresAt, now, allowedIps } = found;
  const endsAt = expiresAt
    ? performance.now() + expiresAt.getTime() - now.getTime()
    : Number.POSITIVE_INFINITY;
  const networks = allowedIps.map(readNetwork);
  return Object.freeze({ user: asUser(user, users), apiKey: asApiKey(found), hash, networks, endsAt });
}

/** The keys whose use this process has noted within the last minute. */
const noted = perConnection(() => new LRUCache<string, true>({ max: 50_000, ttl: 60_000 }));

/**
 * Notes that a request goes ahead by this key: of a key whose uses are counted one is taken, by one conditional write, and the
 * key with what is left is given back; of any other the time is noted, once a minute and without waiting for it.
 *
 * @throws {TollgateError} `token_invalid` (401) when no use is left; `database_unavailable` (503): the use may count then
 */
export async function recordUse(connection: Connection, { apiKey, hash }: LiveApiKey): Promise<ApiKey> {
  if (apiKey.usesLeft === null) {
    touch(connection, apiKey.id);
    return apiKey;
  }
  const spent = await database(() => ApiKeys(connection).spend(apiKey.id));
  if (!spent?.usesLeft) live(connection).forget(hash);
  if (!spent) throw refuse('token_invalid');
  return asApiKey(spent);
}

function touch(connection: Connection, id: string): void {
  const recent = noted(connection);
  if (recent.has(id)) return;
  recent.set(id, true);
  database(() => ApiKeys(connection).touch(id)).catch(() => {}); // the next minute's will do
}
