import type { Connection } from 'mongoose';
import { Denials, kept, type StoredDenial } from '../models/denial.js';
import type { UsageKey } from '../models/usage.js';
import { database } from '../runtime/database.js';
import { perConnection } from '../runtime/per-connection.js';
import { Backlog } from './backlog.js';
import { databaseClock } from './database-clock.js';
import { nameOf } from './sender.js';

interface Noted {
  readonly key: UsageKey;
  readonly denial: StoredDenial;
}

const backlogs = perConnection(
  (connection) =>
    new Backlog<Noted>(1_000, kept, (noted) => {
      const counters = noted.map((of) => ({
        key: (of[0] as Noted).key,
        denials: of.map(({ denial }) => denial),
      }));
      return database(() => Denials(connection).note(counters));
    }),
);

/** Keeps a refusal among the last ones of its counter. It is written within a second, by one command for all counters. */
export function noteDenial(connection: Connection, key: UsageKey, denial: Omit<StoredDenial, 'at'>): void {
  const { amount, used, limit, remaining } = denial;
  const at = databaseClock(connection).now();
  backlogs(connection).add(nameOf(key), { key, denial: { at, amount, used, limit, remaining } });
}
