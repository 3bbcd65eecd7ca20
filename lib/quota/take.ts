import type { Connection } from 'mongoose';
import { type Period, type StoredUsage, Usage, type UsageKey } from '../models/usage.js';
import { database } from '../runtime/database.js';

export interface Take {
  readonly key: UsageKey;
  readonly amount: number;
  /** Units a period; null: unlimited. */
  readonly limit: number | null;
  readonly per: Period;
}

export interface Taken {
  readonly granted: boolean;
  /** The counter after the write: what is used, of which period, at what time of the database's clock. */
  readonly counter: StoredUsage;
}

/**
 * Takes `amount` of a quota, all of it or nothing.
 *
 * One conditional write decides, so that no number of processes can grant more than `limit`. Only when it finds nothing
 * to change (a first use, a new period, or too little left) is the counter brought up to date and asked once more.
 */
export function take(connection: Connection, { key, amount, limit, per }: Take): Promise<Taken> {
  const usage = Usage(connection);
  return database(async () => {
    const taken = await usage.take(key, amount, limit);
    if (taken) return { granted: true, counter: taken };
    const counter = await usage.turn(key, per);
    const fits = limit === null || counter.u + amount <= limit;
    const retaken = fits ? await usage.take(key, amount, limit) : null;
    return { granted: retaken !== null, counter: retaken ?? counter };
  });
}
