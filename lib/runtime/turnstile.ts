import { setTimeout } from 'node:timers';
import { perConnection } from './per-connection.js';

/** Those who wait under one key: each behind the one before, and the first for something to happen. */
interface Line {
  waiting: number;
  last: Promise<void>;
  /** Lets the first look again. */
  wake: () => void;
}

/**
 * Lets callers in this process through one at a time for each key, in the order in which they came, so that of many who wait for the same thing only
 * the first asks the database for it.
 */
class Turnstile {
  readonly #lines = new Map<string, Line>();

  /** How many stand under `key` now, the first included. */
  waiting(key: string): number {
    return this.#lines.get(key)?.waiting ?? 0;
  }

  /** Runs `work` when it is the caller's turn under every one of `keys`, which all callers name in one order. */
  async inTurn<T>([key, ...others]: readonly string[], work: () => Promise<T>): Promise<T> {
    if (key === undefined) return work();
    const line = this.#lines.get(key) ?? { waiting: 0, last: Promise.resolve(), wake: () => {} };
    this.#lines.set(key, line);
    line.waiting += 1;
    const turn = line.last.then(() => this.inTurn(others, work));
    const over = () => {
      line.waiting -= 1;
      if (line.waiting === 0) this.#lines.delete(key);
    };
    line.last = turn.then(over, over);
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
