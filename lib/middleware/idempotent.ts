import Joi from 'joi';
import { openOnce } from '../quota/take-once.js';
import { connectionOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import type { SignedIn } from './authenticate.js';
import { type Description, described } from './described.js';
import type { Guard } from './guard.js';
import { claimFor, idempotencyKeyOf } from './idempotency-key.js';
import { type SubjectChoice, subjectChoice, subjectOf } from './subject-of.js';
import { outermostOf, replay, underClaims } from './under-claims.js';

export interface IdempotentOptions extends SharedOptions {
  /** Seconds for which a key is remembered, 604,800 (a week) at most. Default 86,400 (a day). */
  window?: number | undefined;
  subject?: SubjectChoice | undefined;
}

interface Read {
  readonly window: number;
  readonly subject: SubjectChoice | undefined;
}

const own = {
  window: Joi.number().integer().min(1).max(604_800).default(86_400),
  subject: subjectChoice,
};

/**
 * Lets a POST with an `Idempotency-Key` (or `X-Idempotency-Key`) through once, and answers whoever comes with it again as the first
 * one was answered, with `Idempotency-Replayed: true` and without the handler; other requests pass. `quota()` does the same itself.
 *
 * A key is one for each user or API key, subject (by default the organization's, else the user), method and route. A 2xx or 3xx is
 * kept for `window` seconds: status, Content-Type, Location, and a body of up to 64 kB. Anything else frees the key.
 *
 * Refuses with 401 `token_missing`; 400 `validation_failed` (a key that is longer than 255 characters or not printable); 409
 * `idempotency_in_progress` while the first is running, or when its process has died within 10 s; 409 `conflict` when its answer could not
 * be kept; 422 `idempotency_mismatch` when its path or body was another; 503 `overloaded`, `database_unavailable`.
 *
 * @example router.post('/orders', idempotent(), order);
 */
export function idempotent(options: IdempotentOptions = {}): Guard<SignedIn> {
  const read = readOptions<Read>('idempotent', options, own);

  const told: Description = {
    refuses: ['token_missing', 'validation_failed', 'idempotency_in_progress', 'idempotency_mismatch'],
    headers: ['Idempotency-Key'],
  };

  return described(told, async function idempotent(ctx, next) {
    const key = idempotencyKeyOf(ctx);
    if (key === undefined) return next();
    const connection = connectionOf(ctx, read.connection);
    const subject = await subjectOf(ctx, read.subject, read.connection);
    const { window } = read;
    const within = outermostOf(ctx);
    const wanted = await claimFor(ctx, connection, key, { subject, feature: '', window, within });
    const met = await openOnce(connection, wanted);
    if ('answer' in met) return replay(ctx, met.answer);
    await underClaims(ctx, connection, [met.claim], next, 'freed');
  });
}
