import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { inTime } from './database.js';
import { perConnection } from './per-connection.js';

const lines = perConnection(() => new Map<string, Promise<unknown>>());

/**
 * Runs `work` when what this process was asked before under the same `name` has ended. It makes nothing exclusive, for there are
 * other processes: transactions that would only conflict, and try again until time is up, are spared that.
 *
 * @throws {TollgateError} `overloaded` (503) when its turn has not come within 1.5 s: then it does not run
 */
export async function inTurn<T>(connection: Connection, name: string, work: () => Promise<T>): Promise<T> {
  const line = lines(connection);
  const before = line.get(name) ?? Promise.resolve();
  const result = inTime(
    () => before,
    () => refuse('overloaded'),
  ).then(work);
  const ended = result.catch(() => {});
  line.set(name, ended);
  try {
    return await result;
  } finally {
    if (line.get(name) === ended) line.delete(name);
  }
}
