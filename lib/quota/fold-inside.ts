import { randomBytes } from 'node:crypto';
import type { ClientSession, Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { Usage, type UsageKey } from '../models/usage.js';
import { beginAnew } from '../runtime/begin-anew.js';
import { perConnection } from '../runtime/per-connection.js';
import { type Batch, fold, type Outcome, type Part, type Terms } from './batch.js';
import { databaseClock } from './database-clock.js';
import { answerOf, type Counter } from './sender.js';
import { foldStatement, projection } from './statements.js';

/** What is counted of one counter within a transaction. */
export interface Inside {
  readonly key: UsageKey;
  readonly terms: Terms;
  /** Without any the counter is locked for the transaction all the same. */
  readonly parts: readonly Part[];
  /** True where parts only go back: nothing is done, and nothing answered, when the period is over. */
  readonly onlyBack?: boolean;
}

const slots = perConnection(() => ({ name: `g${randomBytes(9).toString('base64url')}`, sequence: 0 }));

/** Counts parts in one counter, in the transaction of `session`, which makes that happen once; says what they met. */
export async function foldInside(
  connection: Connection,
  session: ClientSession,
  inside: Inside & { readonly onlyBack?: false },
): Promise<Outcome>;
export async function foldInside(
  connection: Connection,
  session: ClientSession,
  inside: Inside,
): Promise<Outcome | undefined>;
export async function foldInside(
  connection: Connection,
  session: ClientSession,
  { onlyBack = false, ...inside }: Inside,
): Promise<Outcome | undefined> {
  const clock = databaseClock(connection);
  if (clock.isMute) await clock.ask();
  const slot = slots(connection);
  slot.sequence += 1;
  const { name, sequence } = slot;
  const deadline = clock.deadline();
  const batch: Batch = { ...inside, slot: name, sequence, deadline, isFirst: false };
  const { q, u } = foldStatement(batch, 'inside');
  const query = onlyBack ? { ...q, $expr: { $gt: ['$to', '$$NOW'] } } : q;
  const found = await Usage(connection).collection.findOneAndUpdate(query, u as never, {
    upsert: !onlyBack,
    returnDocument: 'after',
    projection: projection([name]),
    session,
  });
  if (!found && onlyBack) return undefined;
  const answer = answerOf(batch, found as unknown as Counter);
  if (answer === 'late') throw refuse('database_unavailable');
  return answer;
}

/**
 * Counts parts that fit, as the same transaction has `seen` in the counter. Where its period has ended in between, or a balance, the transaction
 * begins anew.
 */
export async function countInside(
  connection: Connection,
  session: ClientSession,
  inside: Inside & { readonly onlyBack?: false },
  seen: Outcome,
): Promise<void> {
  const outcome = await foldInside(connection, session, inside);
  const isCounted = fold(inside.parts, outcome).every(({ counts }) => counts);
  if (!isCounted || outcome.from.getTime() !== seen.from.getTime())
    throw beginAnew('The counter is not what it was a moment ago');
}
