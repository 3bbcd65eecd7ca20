import { setTimeout } from 'node:timers';
import { refuse } from '../errors.js';

/** Milliseconds that one call to the database may take, so that a request without an answer ends within 2 s. */
export const patience = 1_500;

/**
 * Runs `work` against the database and gives up after 1.5 s.
 *
 * The bound is ours: neither `maxTimeMS` nor `timeoutMS` ends a call whose server is gone. What was abandoned may
 * still take effect, as any write may whose answer was lost.
 *
 * @throws {TollgateError} `database_unavailable` (503) when there is no answer, or the database says it cannot give one
 */
export async function database<T>(work: () => PromiseLike<T>): Promise<T> {
  try {
    return await inTime(work, () => refuse('database_unavailable', { cause: 'no answer in time' }));
  } catch (error) {
    throw isUnavailable(error) ? refuse('database_unavailable', { cause: error }) : error;
  }
}

/** Runs `work`, and throws what `tooLate` makes when it takes longer than 1.5 s, or as many milliseconds as are said. */
export async function inTime<T>(
  work: () => PromiseLike<T>,
  tooLate: () => Error,
  milliseconds = patience,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate()), milliseconds);
  });
  try {
    return await Promise.race([work(), bound]);
  } finally {
    clearTimeout(timer);
  }
}

/** By name, not by class: an application may hold another copy of the driver than ours. */
const names = new Set([
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoNotConnectedError',
  'MongoOperationTimeoutError',
  'MongoPoolClearedError',
  'MongoPoolClearedOnNetworkError',
  'MongoPoolClosedError',
  'MongoServerClosedError',
  'MongoServerSelectionError',
  'MongoTopologyClosedError',
  'MongoWaitQueueTimeoutError',
  'MongoWriteConcernError',
  'MongooseServerSelectionError',
]);

/** Server errors that mean "no primary just now" or "shutting down". */
const codes = new Set([91, 189, 10_107, 11_600, 11_602, 13_435, 13_436]);

/** True when `error` says that the database could not be reached or could not answer, and not what it answered. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (names.has(error.name) || codes.has((error as { code?: number }).code ?? 0)) return true;
  return error.name === 'MongooseError' && error.message.includes('buffering timed out');
}

/** True when a write was refused by the unique index on `field`. */
export function isDuplicate(error: unknown, field: string): boolean {
  const { code, keyPattern } = (error ?? {}) as { code?: unknown; keyPattern?: object };
  return code === 11_000 && keyPattern !== undefined && field in keyPattern;
}
