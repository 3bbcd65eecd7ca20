import { setTimeout } from 'node:timers';
import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { isUnavailable, patience } from './database.js';
import { inSession } from './transaction.js';

/**
 * Runs the application's own `work` in one transaction, for as long as it takes, and gives its result once that is committed. `work` may
 * run again, as in `transaction`; no attempt begins later than 1.5 s after the end of the first.
 *
 * `undone`, which must not throw, is called when nothing was written, nor will be: before this throws, or later, where the answer to
 * the commit was awaited for 1.5 s in vain and it turns out so.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 */
export function ownTransaction<T>(
  connection: Connection,
  work: (session: ClientSession) => Promise<T>,
  undone: () => Promise<unknown>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isCommitting = false;
    let lastStart = Number.POSITIVE_INFINITY;
    const undo = once(undone);
    const { wait, work: atWork } = timer(() => {
      lastStart = Number.NEGATIVE_INFINITY;
      if (!isCommitting) void undo();
      reject(refuse('database_unavailable', { cause: 'no answer in time' }));
    });
    const attempt = async (session: ClientSession) => {
      atWork();
      isCommitting = false;
      if (performance.now() > lastStart) throw refuse('database_unavailable');
      try {
        const result = await work(session);
        isCommitting = true;
        return result;
      } finally {
        lastStart = Math.min(lastStart, performance.now() + patience);
        wait();
      }
    };
    const fail = async (error: unknown) => {
      if (!isCommitting || isTransient(error)) await undo();
      reject(isCommitting || isUnavailable(error) ? refuse('database_unavailable', { cause: error }) : error);
    };
    wait();
    inSession(connection, attempt).finally(atWork).then(resolve, fail);
  });
}

/** Calls `tooLate` when 1.5 s are waited for the database; not while the application is at work. */
function timer(tooLate: () => void): { wait(): void; work(): void } {
  let running: NodeJS.Timeout | undefined;
  return {
    wait() {
      running = setTimeout(tooLate, patience);
    },
    work() {
      clearTimeout(running);
    },
  };
}

function once(work: () => Promise<unknown>): () => Promise<unknown> {
  let done: Promise<unknown> | undefined;
  return () => (done ??= work());
}

/** True when the database says that the transaction was not committed. */
const isTransient = (error: unknown): boolean =>
  (error as { hasErrorLabel?(label: string): boolean }).hasErrorLabel?.('TransientTransactionError') ?? false;
