import type { Connection } from 'mongoose';
import { isTollgateError, refuse } from '../errors.js';
import { inTime } from './database.js';
import { perConnection } from './per-connection.js';

/** By name, what those who came before end with: an error that whoever waits behind them would run into too, or nothing. */
const lines = perConnection(() => new Map<string, Promise<unknown>>());

/** Milliseconds. */
const patience = 1_500;

/**
 * Runs `work` when what this process was asked before under the same `name` has ended. It makes nothing exclusive, for there are
 * other processes: transactions that would only conflict, and try again until time is up, are spared that. Where the database did not answer to one, those
 * that wait behind it are told the same, and do not each try for themselves.
 *
 * @throws {TollgateError} `overloaded` (503) when its turn has not come within `wait` milliseconds (default 1.5 s): then it does not run;
 *   `database_unavailable` (503)
 */
export async function inTurn<T>(
  connection: Connection,
  name: string,
  work: () => Promise<T>,
  wait = patience,
): Promise<T> {
  const line = lines(connection);
  const before = line.get(name) ?? Promise.resolve();
  const turn = inTime(
    () => before,
    () => refuse('overloaded'),
    wait,
  );
  const result = turn.then((outage) => {
    if (outage) throw outage;
    return work();
  });
  const ended = result.then(
    () => undefined,
    (error: unknown) => (isTollgateError(error, 'database_unavailable') ? error : undefined),
  );
  line.set(name, ended);
  try {
    return await result;
  } finally {
    if (line.get(name) === ended) line.delete(name);
  }
}
