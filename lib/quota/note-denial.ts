import type { Connection } from 'mongoose';
import { Denials, type StoredDenial } from '../models/denial.js';
import type { UsageKey } from '../models/usage.js';
import { database } from '../runtime/database.js';
import { perConnection } from '../runtime/per-connection.js';
import { Backlog } from './backlog.js';
import { databaseClock } from './database-clock.js';

interface Noted {
  readonly key: UsageKey;
  readonly denial: StoredDenial;
}

const backlogs = perConnection(
  (connection) => new Backlog<Noted>(1_000, (denials) => database(() => Denials(connection).note(denials))),
);

/** Keeps a refusal among the last ones of its counter. It is written within a second, by one command for all counters. */
export function noteDenial(connection: Connection, key: UsageKey, denial: Omit<StoredDenial, 'at'>): void {
  const { amount, used, limit, remaining } = denial;
  const at = databaseClock(connection).now();
  backlogs(connection).add({ key, denial: { at, amount, used, limit, remaining } });
}
