import { setTimeout as delay } from 'node:timers/promises';
import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { transaction } from './transaction.js';
import { turnstile } from './turnstile.js';

/** Milliseconds that one waits for those before it: many may come at once. */
const patience = 10_000;

/**
 * Runs `work` in one transaction that begins with `first`, a write that all of a `name` begin with: of two in different processes the later one begins
 * again and then sees what the other did. Those of a `name` in this process follow one another, and all wait for each other, ten seconds at most.
 *
 * @throws {TollgateError} `overloaded`, `database_unavailable` (503), and what `first` and `work` throw
 */
export async function transactionInTurn<Met, T>(
  connection: Connection,
  name: string,
  first: (session: ClientSession) => PromiseLike<Met>,
  work: (session: ClientSession, met: Met) => Promise<T>,
): Promise<T> {
  const act = async (session: ClientSession) => work(session, await Promise.resolve(first(session)).catch(asBusy)); // biome-ignore format: one line
  const until = performance.now() + patience;
  const attempt = () => whenFree(() => transaction(connection, act), until);
  return turnstile(connection).soon(name, attempt, patience);
}

/** Another is in its turn: another process, or somebody under another name who writes the same first. */
const busy = new Error('busy');

/** MongoDB does not wait for a document that another transaction has written: it refuses. */
function asBusy(error: { readonly code?: unknown }): never {
  throw error.code === 112 ? busy : error;
}

/** Tries again, at odd times, while others act: nothing was written yet. By itself the driver would do so for 1.5 s only, and in vain beside a busy one. */
async function whenFree<T>(act: () => Promise<T>, until: number): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (error !== busy) throw error;
      if (performance.now() > until) throw refuse('overloaded');
    }
    await delay(2 + Math.random() * 20);
  }
}
