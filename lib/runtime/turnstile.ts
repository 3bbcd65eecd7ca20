import { setTimeout } from 'node:timers';
import { isTollgateError, refuse, type TollgateError } from '../errors.js';
import { inTime, patience } from './database.js';
import { perConnection } from './per-connection.js';

/** Those who wait under one key: each behind the one before, and the first for something to happen. */
interface Line {
  waiting: number;
  /** That the database did not answer to those before, or nothing. */
  last: Promise<TollgateError | undefined>;
  /** Lets the first look again. */
  wake: () => void;
}

/**
 * Lets callers in this process through one at a time for each key, in the order in which they came, so that of many who wait for the same thing only
 * the first asks the database for it, and transactions that would only conflict, and try again until time is up, are spared that. It makes nothing
 * exclusive, for there are other processes.
 */
class Turnstile {
  readonly #lines = new Map<string, Line>();

  /** How many stand under `key` now, the first included. */
  waiting(key: string): number {
    return this.#lines.get(key)?.waiting ?? 0;
  }

  /** Runs `work` when it is the caller's turn under every one of `keys`, which all callers name in one order. */
  inTurn<T>([key, ...others]: readonly string[], work: () => Promise<T>): Promise<T> {
    if (key === undefined) return work();
    return this.#stand(key, (before) => before.then(() => this.inTurn(others, work)));
  }

  /**
   * Runs `work` when it is the caller's turn under `key`, if that comes soon. Where the database did not answer to one, those that wait behind it are told
   * the same, and do not each try for themselves.
   *
   * @throws {TollgateError} `overloaded` (503) when it has not come within `wait` milliseconds (default 1.5 s), `database_unavailable` (503): then `work` does
   *   not run
   */
  soon<T>(key: string, work: () => Promise<T>, wait = patience): Promise<T> {
    return this.#stand(key, async (before) => {
      const outage = await inTime(() => before, () => refuse('overloaded'), wait); // biome-ignore format: one line
      if (outage) throw outage;
      return work();
    });
  }

  /** Whoever comes next waits for this caller, and for all before. */
  #stand<T>(key: string, take: (before: Line['last']) => Promise<T>): Promise<T> {
    const line = this.#lines.get(key) ?? { waiting: 0, last: Promise.resolve(undefined), wake: () => {} };
    this.#lines.set(key, line);
    line.waiting += 1;
    const turn = take(line.last);
    line.last = Promise.allSettled([line.last, turn]).then(([before, own]) => {
      line.waiting -= 1;
      if (line.waiting === 0) this.#lines.delete(key);
      if (own.status === 'fulfilled') return undefined;
      if (isTollgateError(own.reason, 'database_unavailable')) return own.reason;
      return before.status === 'fulfilled' ? before.value : undefined; // who did not wait for it hands it on
    });
    return turn;
  }

  /** For whoever has the turn under `key`: resolves at the next `wake`, and after `most` milliseconds at the latest. */
  asleep(key: string, most: number): Promise<void> {
    const line = this.#lines.get(key);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, most);
      if (line)
        line.wake = () => {
          clearTimeout(timer);
          resolve();
        };
    });
  }

  wake(keys: readonly string[]): void {
    for (const key of keys) this.#lines.get(key)?.wake();
  }
}

/** One for each connection. */
export const turnstile = perConnection(() => new Turnstile());
