import type { Connection, Model } from 'mongoose';
import { redactErased } from '../audit/redact-audit.js';
import { ApiKeys } from '../models/api-key.js';
import { Budgets } from '../models/budget.js';
import { Invitations } from '../models/invitation.js';
import { OneTimeTokens } from '../models/one-time-token.js';
import { Sessions } from '../models/session.js';
import { databaseTime } from '../runtime/clock.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import { expirePlans } from './plans/expire-plans.js';
import { clearDeleted } from './tenancy/clear-deleted.js';

/** How many there were of each kind. */
export interface CleanedUp {
  readonly sessions: number;
  readonly oneTimeTokens: number;
  readonly budgets: number;
  /** API keys that were deleted, used up or expired 30 days ago. */
  readonly apiKeys: number;
  /** Users whose erasure has been ended, in the audit log. */
  readonly erasures: number;
  /** Plans of subjects that have ended. */
  readonly plans: number;
  readonly invitations: number;
  /** Organizations and teams whose deletion has been ended. */
  readonly deletions: number;
}

/** Milliseconds for which a dead API key stays in the list, for somebody may ask what it was: 30 days. */
const remembered = 30 * 86_400_000;

/** Documents that are deleted by one command. */
const batch = 1_000;

/**
 * Deletes what has expired by the database's clock: sessions, one-time tokens, invitations and guessing budgets, which MongoDB's own TTL would
 * delete a day later, and API keys that have been dead for 30 days; takes away plans that have ended, and ends the deletion of organizations and teams.
 * Nothing waits for it, for every read judges expiry itself.
 * `startWorker()` calls it every six hours.
 *
 * @returns how many there were of each
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { sessions } = await cleanUp({ connection });
 */
export async function cleanUp({
  connection: given,
}: {
  connection?: Connection | undefined;
} = {}): Promise<CleanedUp> {
  const connection = opened(given);
  const now = await databaseTime(connection);
  const expired = async (of: unknown, field: string, more: object = {}, since = now) => {
    const model = of as Model<unknown>;
    for (let count = 0; ; ) {
      const filter = { [field]: { $lte: since }, ...more };
      const found = await database(() => model.find(filter, { _id: 1 }).limit(batch).lean());
      const ids = { _id: { $in: found.map(({ _id }) => _id) } };
      count += (await database(() => model.deleteMany({ ...ids, ...filter }))).deletedCount;
      if (found.length < batch) return count;
    }
  };
  const idle = { heldUntil: { $not: { $gt: now } } }; // what is being judged is not forgotten
  const deadKeys = async () => {
    const [keys, since] = [ApiKeys(connection), new Date(now.getTime() - remembered)];
    const [deleted, past] = [
      await expired(keys, 'deletedAt', {}, since),
      await expired(keys, 'expiresAt', {}, since),
    ];
    return deleted + past + (await expired(keys, 'lastUsedAt', { usesLeft: 0 }, since));
  };
  return {
    sessions: await expired(Sessions(connection), 'expiresAt'),
    oneTimeTokens: await expired(OneTimeTokens(connection), 'expiresAt'),
    budgets: await expired(Budgets(connection), 'resetsAt', idle),
    apiKeys: await deadKeys(),
    erasures: await redactErased(connection),
    plans: await expirePlans(connection, now),
    invitations: await expired(Invitations(connection), 'expiresAt'),
    deletions: await clearDeleted(connection),
  };
}
