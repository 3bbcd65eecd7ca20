import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { HashJob } from './hash-worker.js';
import { type HashingClient, HashingQueue } from './hashing-queue.js';

export type { HashingClient } from './hashing-queue.js';

const threads = availableParallelism();

/** So many jobs for each thread are eight seconds of work at cost 12. */
const places = threads * 32;

/** One queue and one pool for the process, for its threads share the machine's cores whoever asks. */
const queue = new HashingQueue({ threads, places, placesPerNetwork: places / 2 });
let pool: Piscina | undefined;

/** The pool starts with the first job, and lets its threads go when there is nothing to do. */
function workers(): Piscina {
  const worker = import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js';
  pool ??= new Piscina({
    filename: fileURLToPath(new URL(worker, import.meta.url)),
    name: 'work',
    minThreads: 1,
    maxThreads: threads,
    idleTimeout: 10_000,
  });
  return pool;
}

const run = <T>(job: HashJob, client?: HashingClient): Promise<T> =>
  queue.run(() => workers().run(job), client);

/**
 * Hashes with bcrypt in a worker thread. Of `input` bcrypt sees the first 72 bytes.
 *
 * @throws {TollgateError} `overloaded` (503) when too many hashes are waiting already; see `HashingQueue`
 */
export const hash = (input: string, cost: number, client?: HashingClient): Promise<string> =>
  run({ input, cost }, client);

/**
 * Compares with a bcrypt hash in a worker thread. A failure takes at least as long as one at `cost` does. Throws like `hash`.
 */
export const compare = (
  input: string,
  hashed: string,
  cost: number,
  client?: HashingClient,
): Promise<boolean> => run({ input, hashed, cost }, client);
