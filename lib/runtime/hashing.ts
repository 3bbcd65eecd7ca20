import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { refuse } from '../errors.js';
import type { HashJob } from './hash-worker.js';

/** Jobs that may wait for a thread; at cost 12 (0.2–0.3 s each) a full queue is some seconds of work. */
const longestQueue = 64;

let pool: Piscina | undefined;

/** One pool for the process, for its threads share the machine's cores whoever asks; it starts with the first job. */
function threads(): Piscina {
  const worker = import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js';
  pool ??= new Piscina({
    filename: fileURLToPath(new URL(worker, import.meta.url)),
    name: 'work',
    minThreads: 1,
    maxThreads: availableParallelism(),
    maxQueue: longestQueue,
    idleTimeout: 10_000,
  });
  return pool;
}

async function run<T>(job: HashJob): Promise<T> {
  const workers = threads();
  if (workers.queueSize >= longestQueue) throw refuse('overloaded');
  return workers.run(job);
}

/**
 * Hashes with bcrypt in a worker thread. `input` must be at most 72 bytes without a NUL.
 *
 * @throws {TollgateError} `overloaded` (503) when too many hashes are waiting already
 */
export const hash = (input: string, cost: number): Promise<string> => run({ password: input, cost });

/** Compares with a bcrypt hash in a worker thread; throws like `hash`. */
export const compare = (input: string, hashed: string): Promise<boolean> =>
  run({ password: input, hash: hashed });
