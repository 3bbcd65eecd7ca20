import { setImmediate } from 'node:timers';
import { database } from './database.js';
import { type Patient, WaitingLine } from './waiting-line.js';

/** Items of one command, and commands under way, at most. */
const [largest, width] = [500, 2];
/** Items that may wait. */
const queue = 50_000;

interface Waiting<Item, Result> extends Patient {
  readonly item: Item;
  resolve(result: Result): void;
}

/**
 * Makes one command of all that is asked for in a turn of the event loop, or while commands are under way. `send` brings items to the
 * database and gives the result of each; whatever it throws, each of them gets.
 *
 * @throws {TollgateError} `overloaded` (503) when it was not sent within 1.5 s; `database_unavailable` (503) when it was, without an answer
 */
export function inBulk<Item, Result>(
  send: (items: readonly Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  const waiting = new WaitingLine<Waiting<Item, Result>>(queue);
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
  const more = () => (flying < width ? waiting.next(largest) : []);
  const ask = () => {
    if (isDue || waiting.isEmpty) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      for (let batch = more(); batch.length > 0; batch = more()) void fly(batch);
      waiting.watch();
    });
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.join({ item, since: performance.now(), resolve, reject });
      ask();
    });
}
