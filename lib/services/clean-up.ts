import type { Connection, Model } from 'mongoose';
import { redactErased } from '../audit/redact-audit.js';
import { Budgets } from '../models/budget.js';
import { OneTimeTokens } from '../models/one-time-token.js';
import { Sessions } from '../models/session.js';
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
  const now = await database(async () => {
    const { localTime } = (await connection.db?.command({ hello: 1 })) ?? {};
    return localTime as Date;
  });
  const expired = async (model: unknown, field: string) => {
    const { deletedCount } = await (model as Model<unknown>).deleteMany({ [field]: { $lte: now } });
    return deletedCount;
  };
  return {
    sessions: await expired(Sessions(connection), 'expiresAt'),
    oneTimeTokens: await expired(OneTimeTokens(connection), 'expiresAt'),
    budgets: await expired(Budgets(connection), 'resetsAt'),
    erasures: await redactErased(connection),
  };
}
