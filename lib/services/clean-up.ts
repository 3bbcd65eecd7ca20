import type { Connection, Model } from 'mongoose';
import { redactErased } from '../audit/redact-audit.js';
import { Budgets } from '../models/budget.js';
import { OneTimeTokens } from '../models/one-time-token.js';
import { Sessions } from '../models/session.js';
import { databaseTime } from '../runtime/clock.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';

/** How many documents were deleted of each kind. */
export interface CleanedUp {
  readonly sessions: number;
  readonly oneTimeTokens: number;
  readonly budgets: number;
  /** Users whose erasure has been ended, in the audit log. */
  readonly erasures: number;
}

/** Documents that are deleted by one command. */
const batch = 1_000;

/**
 * Deletes what has expired by the database's clock: sessions, one-time tokens and guessing budgets. Nothing waits for it, for every
 * read judges expiry itself; MongoDB's own TTL deletes the same a day later. `startWorker()` calls it every six hours.
 *
 * @returns how many of each were deleted
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
  const expired = async (of: unknown, field: string, more: object = {}) => {
    const model = of as Model<unknown>;
    for (let count = 0; ; ) {
      const filter = { [field]: { $lte: now }, ...more };
      const found = await database(() => model.find(filter, { _id: 1 }).limit(batch).lean());
      const ids = { _id: { $in: found.map(({ _id }) => _id) } };
      count += (await database(() => model.deleteMany({ ...ids, ...filter }))).deletedCount;
      if (found.length < batch) return count;
    }
  };
  const idle = { heldUntil: { $not: { $gt: now } } }; // what is being judged is not forgotten
  return {
    sessions: await expired(Sessions(connection), 'expiresAt'),
    oneTimeTokens: await expired(OneTimeTokens(connection), 'expiresAt'),
    budgets: await expired(Budgets(connection), 'resetsAt', idle),
    erasures: await redactErased(connection),
  };
}
