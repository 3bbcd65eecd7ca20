import { setImmediate } from 'node:timers';
import { database } from './database.js';

/** Items of one command, and commands under way, at most. */
const [largest, width] = [500, 2];

interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/**
 * Makes one command of all that is asked for in a turn of the event loop, or while commands are under way. `send` brings items to the
 * database and gives the result of each; whatever it throws, each of them gets.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 */
export function inBulk<Item, Result>(
  send: (items: readonly Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  const waiting: Waiting<Item, Result>[] = [];
  let flying = 0;
  let isDue = false;

  const fly = async (batch: readonly Waiting<Item, Result>[]) => {
    flying += 1;
    try {
      const results = await database(() => send(batch.map(({ item }) => item)));
      batch.forEach(({ resolve }, index) => void resolve(results[index] as Result));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    flying -= 1;
    ask();
  };
  const ask = () => {
    if (isDue || waiting.length === 0) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      while (waiting.length > 0 && flying < width) void fly(waiting.splice(0, largest));
    });
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      ask();
    });
}
