import { LRUCache } from 'lru-cache';
import type { Connection } from 'mongoose';
import { Reservations, type StoredReservation } from '../../models/reservation.js';
import type { UsageKey } from '../../models/usage.js';
import { nameOf } from '../../quota/sender.js';
import { settleHold } from '../../quota/settle-holds.js';
import { database } from '../../runtime/database.js';
import { inBulk } from '../../runtime/in-bulk.js';
import { perConnection } from '../../runtime/per-connection.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';

/** Holds that are looked for at once. */
const batch = 500;

/** Counters that were looked at within the last second. */
const looked = perConnection(
  () => new LRUCache<string, true>({ max: 10_000, ttl: 1_000, ttlResolution: 100 }),
);

/** Gives back what expired holds have taken of any counter; says how many there were. */
export async function returnExpired(connection: Connection): Promise<number> {
  for (let count = 0; ; ) {
    const holds = await overdue(connection, []);
    count += await settle(connection, holds);
    if (holds.length < batch) return count;
  }
}

/** The same for one counter, which is looked at once a second at most. */
export async function returnExpiredOf(connection: Connection, key: UsageKey): Promise<number> {
  const name = nameOf(key);
  if (looked(connection).has(name)) return 0;
  looked(connection).set(name, true);
  return settle(connection, await lookups(connection).of(key));
}

/** Looks at counters that are asked about together by one command. */
const lookups = perConnection((connection) => ({
  of: inBulk<UsageKey, readonly StoredReservation[]>(async (keys) => {
    const holds = await overdue(connection, keys.map(counterOf));
    const named = holds.map((hold) => ({
      hold,
      name: nameOf({ s: subjectKey(hold.subject as Subject), f: hold.counter }),
    }));
    return keys.map((key) => named.filter(({ name }) => name === nameOf(key)).map(({ hold }) => hold));
  }),
}));

function counterOf({ s: subject, f: counter }: UsageKey): object {
  const end = subject.indexOf(':');
  return { 'subject.type': subject.slice(0, end), 'subject.id': subject.slice(end + 1), counter };
}

const overdue = (
  connection: Connection,
  counters: readonly object[],
): Promise<readonly StoredReservation[]> =>
  database(() => Reservations(connection).overdue(counters, batch)) as Promise<StoredReservation[]>;

async function settle(connection: Connection, holds: readonly StoredReservation[]): Promise<number> {
  const settled = holds.map((hold) => settleHold(connection, { hold, to: 'expired', asked: 0 }));
  return (await Promise.all(settled)).filter(Boolean).length;
}
