import { createHash } from 'node:crypto';
import type { Connection } from 'mongoose';
import { readSubject } from '../../models/read-subject.js';
import { type Claim, claimBook } from '../../quota/claim-book.js';
import { subjectKey } from '../../runtime/subject.js';
import type { Wanted } from './demand-of.js';

const keyPattern = /^[\x20-\x7e]{1,255}$/;

/** True for what can be an idempotency key. */
export const isIdempotencyKey = (key: unknown): key is string =>
  typeof key === 'string' && keyPattern.test(key);

/** A week, in seconds. */
const week = 604_800;

const isTtl = (seconds: number): boolean => Number.isInteger(seconds) && seconds > 0 && seconds <= week;

/** What a consumption says of its key. */
export interface Keyed {
  /** Up to 255 printable ASCII characters: who comes again with it gets the same result, and nothing more is used up. */
  readonly idempotencyKey?: string | undefined;
  /** Whose the key is: others may have the same one. Default: the subject. */
  readonly owner?: string | undefined;
  /** Seconds for which the key is remembered, 604,800 (a week) at most. Default 60. */
  readonly quotaIdempotencyTtl?: number | undefined;
}

/** The claim of a call to its key; undefined: it has none. */
export function claimOfCall(
  connection: Connection,
  { subject, feature, amount }: Wanted,
  { idempotencyKey: k, owner, quotaIdempotencyTtl = 60 }: Keyed,
): Claim | undefined {
  if (k === undefined) return undefined;
  if (!isIdempotencyKey(k)) throw new TypeError('idempotencyKey must have 1 to 255 printable characters');
  if (!isTtl(quotaIdempotencyTtl))
    throw new TypeError(
      `quotaIdempotencyTtl must be an integer from 1 to ${week}, not ${quotaIdempotencyTtl}`,
    );
  const s = subjectKey(readSubject(connection, subject));
  const key = { o: owner ?? s, c: 'service', s, m: '', r: 'consumeQuota', f: '', k };
  const hash = createHash('sha256').update(`${feature} ${amount}`).digest('base64');
  return claimBook(connection).claim(key, hash, quotaIdempotencyTtl * 1_000);
}
