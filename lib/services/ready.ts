import type { Connection, Model } from 'mongoose';
import { AuditEntries } from '../models/audit-entry.js';
import { Memberships } from '../models/membership.js';
import { OneTimeTokens } from '../models/one-time-token.js';
import { Organizations } from '../models/organization.js';
import { Plans } from '../models/plan.js';
import { Revocations } from '../models/revocation.js';
import { Roles } from '../models/role.js';
import { Sessions } from '../models/session.js';
import { Subscriptions } from '../models/subscription.js';
import { Teams } from '../models/team.js';
import { Usage } from '../models/usage.js';
import { Users } from '../models/user.js';
import { opened } from '../runtime/connection.js';

const accessors = [AuditEntries, Memberships, OneTimeTokens, Organizations, Plans, Revocations, Roles, Sessions, Subscriptions, Teams, Usage, Users]; // biome-ignore format: a list

const complete = new WeakSet<Connection>();

/**
 * Builds the indexes of every collection, and resolves only when every unique one exists: before that, two people could
 * sign up with one address. Call it before listening; on a large collection it takes as long as MongoDB needs.
 *
 * @throws {Error} when MongoDB is no replica set (one node is enough), or when an index cannot be built, because others of its name or duplicates stand in its way: the message
 *   names the collection and the index
 * @example await mongoose.connect(uri); await ready(); app.listen(3000);
 */
export async function ready(connection?: Connection): Promise<void> {
  const ours = await opened(connection).asPromise();
  await refuseStandalone(ours);
  for (const model of modelsOf(ours)) {
    await model.createCollection();
    await model.createIndexes().catch((error: Error) => {
      const advice =
        'remove what stands in its way (another index of that name, or duplicates), and start again';
      throw new Error(`An index of ${model.collection.name} cannot be built: ${error.message}; ${advice}`, {
        cause: error,
      });
    });
  }
  const missing = await missingIndexes(ours);
  if (missing.length > 0) throw new Error(`These unique indexes do not exist: ${missing.join(', ')}`);
}

async function refuseStandalone(connection: Connection): Promise<void> {
  const { setName, msg } = (await connection.db?.command({ hello: 1 })) ?? {};
  if (setName || msg === 'isdbgrid') return;
  throw new Error(
    'MongoDB must run as a replica set: start mongod with --replSet rs0, and run rs.initiate() once',
  );
}

/** The unique indexes that do not exist yet, as `collection {"key":1}`. Once there are none, that is remembered. */
export async function missingIndexes(connection: Connection): Promise<readonly string[]> {
  if (complete.has(connection)) return [];
  const missing = (await Promise.all(modelsOf(connection).map(missingIn))).flat();
  if (missing.length === 0) complete.add(connection);
  return missing;
}

async function missingIn(model: Model<unknown>): Promise<string[]> {
  const present = await model.listIndexes().catch((error: { code?: number }) => {
    if (error.code === 26) return []; // no such collection yet
    throw error;
  });
  const unique = present.filter((index) => index.unique).map((index) => reachOf(index.key, index));
  const wanted = model.schema.indexes().filter(([, options]) => options.unique);
  return wanted
    .filter(([key, options]) => !unique.includes(reachOf(key, options)))
    .map(([key]) => `${model.collection.name} ${JSON.stringify(key)}`);
}

/** What an index covers: one that is unique only for a part of the documents is none for the rest. */
const reachOf = (
  key: object,
  { sparse = false, partialFilterExpression }: { sparse?: boolean; partialFilterExpression?: unknown },
): string => JSON.stringify([key, Boolean(sparse), partialFilterExpression]);

const modelsOf = (connection: Connection): Model<unknown>[] =>
  accessors.map((accessor) => accessor(connection) as unknown as Model<unknown>);
