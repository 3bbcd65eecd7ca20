import { LRUCache } from 'lru-cache';
import type { Connection } from 'mongoose';
import { Reservations, type StoredReservation } from '../../models/reservation.js';
import type { UsageKey } from '../../models/usage.js';
import { nameOf } from '../../quota/sender.js';
import { settleHold } from '../../quota/settle-holds.js';
import { database } from '../../runtime/database.js';
import { perConnection } from '../../runtime/per-connection.js';

/** Holds that are looked for at once. */
const batch = 500;

/** Counters that were looked at within the last second. */
const looked = perConnection(() => new LRUCache<string, true>({ max: 10_000, ttl: 1_000 }));

/** Gives back what expired holds have taken of any counter; says how many there were. */
export async function returnExpired(connection: Connection): Promise<number> {
  for (let count = 0; ; ) {
    const holds = await overdue(connection, {});
    count += await settle(connection, holds);
    if (holds.length < batch) return count;
  }
}

/** The same for one counter, which is looked at once a second at most. */
export async function returnExpiredOf(connection: Connection, key: UsageKey): Promise<number> {
  const name = nameOf(key);
  if (looked(connection).has(name)) return 0;
  looked(connection).set(name, true);
  const [type, id] = [key.s.slice(0, key.s.indexOf(':')), key.s.slice(key.s.indexOf(':') + 1)];
  const counter = { 'subject.type': type, 'subject.id': id, counter: key.f };
  return settle(connection, await overdue(connection, counter));
}

const overdue = (connection: Connection, counter: object): Promise<readonly StoredReservation[]> =>
  database(() => Reservations(connection).overdue(counter, batch)) as Promise<StoredReservation[]>;

async function settle(connection: Connection, holds: readonly StoredReservation[]): Promise<number> {
  const settled = holds.map((hold) => settleHold(connection, { hold, to: 'expired', asked: 0 }));
  return (await Promise.all(settled)).filter(Boolean).length;
}
