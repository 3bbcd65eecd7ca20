import type { Connection, Model } from 'mongoose';
import { ApiKeys } from '../models/api-key.js';
import { AuditEntries } from '../models/audit-entry.js';
import { AuditHeads } from '../models/audit-head.js';
import { Budgets } from '../models/budget.js';
import { Claims } from '../models/claim.js';
import { ClaimedBatches } from '../models/claimed-batch.js';
import { Deletions } from '../models/deletion.js';
import { Denials } from '../models/denial.js';
import { Erasures } from '../models/erasure.js';
import { Grants } from '../models/grant.js';
import { Invitations } from '../models/invitation.js';
import { Memberships } from '../models/membership.js';
import { OneTimeTokens } from '../models/one-time-token.js';
import { Organizations } from '../models/organization.js';
import { Outbox } from '../models/outbox.js';
import { Plans } from '../models/plan.js';
import { RateLimits } from '../models/rate-limit.js';
import { Reservations } from '../models/reservation.js';
import { Revocations } from '../models/revocation.js';
import { Roles } from '../models/role.js';
import { Sessions } from '../models/session.js';
import { Subscriptions } from '../models/subscription.js';
import { Teams } from '../models/team.js';
import { Thresholds } from '../models/threshold.js';
import { Usage } from '../models/usage.js';
import { Users } from '../models/user.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import type { Key } from '../runtime/keyring.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { pepperIdOf } from './identity/password.js';

const accessors = [ApiKeys, AuditEntries, AuditHeads, Budgets, ClaimedBatches, Claims, Deletions, Denials, Erasures, Grants, Invitations, Memberships, OneTimeTokens, Organizations, Outbox, Plans, RateLimits, Reservations, Revocations, Roles, Sessions, Subscriptions, Teams, Thresholds, Usage, Users]; // biome-ignore format: a list

const complete = new WeakSet<Connection>();

/**
 * Builds the indexes of every collection, and resolves only when every unique one exists: before that, two people could
 * sign up with one address. Call it before listening; on a large collection it takes as long as MongoDB needs.
 *
 * Given the options that the factories share, in place of a connection alone, it also sees that no pepper was forgotten, and no key
 * that secrets of authenticator apps are sealed with.
 *
 * @throws {Error} when MongoDB is no replica set (one node is enough); when an index cannot be built, because others of its
 *   name or duplicates stand in its way: the message names the collection and the index; when there are passwords with a
 *   pepper that is not among the options, or secrets of authenticator apps with a key that is not: the message names its id
 * @throws {TypeError} when an option is wrong
 * @example await mongoose.connect(uri); await ready(shared); app.listen(3000);
 */
export async function ready(given?: Connection | SharedOptions): Promise<void> {
  const options = isPlain(given) ? readOptions('ready', given) : undefined;
  const ours = await opened(options ? options.connection : (given as Connection)).asPromise();
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
  if (options) await refuseLostPepper(ours, options.peppers);
  if (options && options.keyring.length > 0) await refuseLostKey(ours, options.keyring);
}

const isPlain = (given: unknown): boolean =>
  given !== undefined && Object.getPrototypeOf(given) === Object.prototype;

/** Without its pepper a password cannot be verified: its users would be told that it is wrong. */
async function refuseLostPepper(connection: Connection, peppers: readonly string[]): Promise<void> {
  const lost = { $type: 'string', $nin: peppers.map(pepperIdOf) } as const; // the partial index needs $type
  const users = Users(connection).findOne({ 'password.pepperId': lost });
  const user = await database(() =>
    users.select<{ password: { pepperId: string } }>('password.pepperId').lean(),
  );
  if (!user) return;
  throw new Error(
    `There are passwords with the pepper ${user.password.pepperId}, which is none of the option peppers; add it behind the ` +
      'newest: a password moves to the newest when its user signs in',
  );
}

/** Without its key nobody can tell whether a code of an authenticator app is right. */
async function refuseLostKey(connection: Connection, keyring: readonly Key[]): Promise<void> {
  const kids = keyring.filter(({ signs }) => signs).map(({ kid }) => kid);
  const lost = { 'totp.keyId': { $nin: kids }, 'totp.confirmedAt': { $type: 'date' } } as const;
  const user = await database(() =>
    Users(connection).findOne(lost).select<{ totp: { keyId: string } }>('totp.keyId').lean(),
  );
  if (!user) return;
  throw new Error(
    `There are authenticator apps whose secret is sealed with the key ${user.totp.keyId}, which is none of the option keys; add it behind ` +
      'the others: a secret moves to the first when its user gives a code',
  );
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
