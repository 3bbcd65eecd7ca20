import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { readSubject } from '../../models/read-subject.js';
import { lockLimit } from '../../quota/lock-limit.js';
import { opened } from '../../runtime/connection.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { transaction } from '../../runtime/transaction.js';
import { turnstile } from '../../runtime/turnstile.js';
import { offersMore } from './catalogue.js';
import { checkAmount } from './demand-of.js';
import { entitlementMissing, entitlementsIn } from './entitlements-of.js';
import { featureOf } from './features.js';
import type { Entitlements } from './granted.js';

export interface WithinLimit<T> {
  readonly subject: Subject;
  /** The code of a static limit: a number in the plan. */
  readonly feature: string;
  /** How many are added, a positive integer. Default 1. */
  readonly amount?: number | undefined;
  /** Counts those that there are, in the transaction; give it an index. */
  readonly count: (session: ClientSession) => PromiseLike<number>;
  /** Adds them, in the transaction; it may run more than once. */
  readonly run: (session: ClientSession) => PromiseLike<T>;
  readonly connection?: Connection | undefined;
}

/**
 * Adds to what a static limit bounds, such as projects, as long as there are no more than the plan allows: exact under any concurrency, in any number of
 * processes. What counts are the application's own documents, however they came and went; those who add to them through this follow one another, by a
 * counter that each writes first in its transaction. After a downgrade all stay, and nothing is added.
 *
 * @returns what `run` gave
 * @throws {TypeError} when the subject is none, or the amount is not a positive integer
 * @throws {TollgateError} `quota_exceeded` (429, extras `feature`, `limit`, `used`, `remaining`, `resetsAt` null, `upgradeRequired`), `entitlement_missing`
 *   (403) when the plan does not have the feature, `internal` (500) when it is no number, `overloaded` (503) when others wait before it for 1.5 s,
 *   `database_unavailable` (503) also when it takes longer than that itself; and whatever `count` and `run` throw, then nothing was written
 * @example await withinLimit({ subject, feature: 'projects', count: (session) => Project.countDocuments({ owner }, { session }), run });
 */
export async function withinLimit<T>(input: WithinLimit<T>): Promise<T> {
  const { feature, amount = 1, count, run } = input;
  checkAmount(amount);
  const connection = opened(input.connection);
  const subject = readSubject(connection, input.subject);
  const key = { s: subjectKey(subject), f: feature };
  return turnstile(connection).soon(`limit ${key.f} ${key.s}`, () =>
    transaction(connection, async (session) => {
      await lockLimit(connection, session, key);
      const entitlements = await entitlementsIn(connection, session, subject);
      const limit = await limitIn(connection, subject, feature, entitlements);
      const used = await count(session);
      if (limit !== null && used + amount > limit)
        throw await exceeded(connection, { feature, limit, used, tier: entitlements.tier });
      return run(session);
    }),
  );
}

/** Null: an override takes the limit away. */
async function limitIn(
  connection: Connection,
  subject: Subject,
  feature: string,
  { plan, limits, tier }: Entitlements,
): Promise<number | null> {
  const defined = plan ? featureOf(plan, feature) : undefined;
  if (defined === undefined) throw await entitlementMissing(connection, { tier, missing: feature, subject });
  if (typeof defined !== 'number')
    throw refuse('internal', {
      detail: `The feature ${feature} is no static limit; give it a number in the plan`,
    });
  return limits?.[feature] ?? null;
}

async function exceeded(
  connection: Connection,
  { feature, limit, used, tier }: { feature: string; limit: number; used: number; tier: number | null },
): Promise<Error> {
  const upgradeRequired = await offersMore(connection, { tier, feature, than: limit });
  const remaining = Math.max(0, limit - used);
  return refuse('quota_exceeded', { feature, limit, used, remaining, resetsAt: null, upgradeRequired });
}
