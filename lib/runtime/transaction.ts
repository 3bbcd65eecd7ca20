import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { changeFeed } from './change-feed.js';
import { database } from './database.js';
import { changeRelay } from './redis-relay.js';

const changes = new WeakMap<ClientSession, Set<string>>();

/**
 * Runs `work` in one transaction, acknowledged by a majority, and gives its result.
 *
 * `work` runs again when the database asks for it (a write conflict, a step-down), so it does nothing but write to
 * the database. What it marked as changed is dropped from this process's caches when it ends, whatever its end.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 */
export async function transaction<T>(
  connection: Connection,
  work: (session: ClientSession) => Promise<T>,
): Promise<T> {
  let over = false;
  const attempt = (session: ClientSession) => {
    if (over) throw refuse('database_unavailable'); // the caller has been told so: do not try, and commit, again
    return work(session);
  };
  try {
    return await database(() => inSession(connection, attempt));
  } finally {
    over = true;
  }
}

/** Runs a transaction in a session of its own, without a bound; what it marked as changed is forgotten in the end. */
export async function inSession<T>(
  connection: Connection,
  attempt: (session: ClientSession) => Promise<T>,
): Promise<T> {
  const session = await connection.startSession();
  const changed = new Set<string>();
  changes.set(session, changed);
  try {
    const options = { readPreference: 'primary', writeConcern: { w: 'majority' } } as const;
    return await session.withTransaction(() => attempt(session), options);
  } finally {
    for (const subject of changed) changeFeed(connection).announce(subject);
    if (changed.size > 0) changeRelay(connection).tell([...changed]);
    await session.endSession();
  }
}

/** Notes that the transaction of `session` changes `subjects`, so that this process forgets them at its end. */
export function noteChanged(session: ClientSession, subjects: readonly string[]): void {
  for (const subject of subjects) changes.get(session)?.add(subject);
}
