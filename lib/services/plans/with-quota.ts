import type { ClientSession, Connection } from 'mongoose';
import {
  commitTogether,
  type Member,
  type Result,
  type Writable,
  type Write,
} from '../../quota/group-commit.js';
import { nameOf } from '../../quota/sender.js';
import type { Taken } from '../../quota/taken.js';
import { opened } from '../../runtime/connection.js';
import { ownTransaction } from '../../runtime/own-transaction.js';
import type { Strictness } from '../../runtime/snapshot.js';
import type { Subject } from '../../runtime/subject.js';
import { consumeQuota, refundQuota } from './consume-quota.js';
import { checkAmount, type DemandOf, demandOf, exceeded, type Wanted } from './demand-of.js';
import { type QuotaState, quotaState, refundableAs } from './quota-state.js';
import { hasReturned } from './take.js';

/** A write as `Model.bulkWrite` takes it, with the model that it is for, or a handle of one that is bound to a tenant. */
export type QuotaWrite = { readonly model: Writable } & (
  | { readonly insertOne: { readonly document: object } }
  | { readonly updateOne: { readonly filter: object; readonly update: object } }
  | { readonly deleteOne: { readonly filter: object } }
);

interface Common {
  readonly subject: Subject;
  /** Units of each feature, positive integers: all are taken, or none. */
  readonly amounts: Readonly<Record<string, number>>;
  readonly connection?: Connection | undefined;
  /** True reads the plan from the database instead of remembering it. Default false. */
  readonly strict?: Strictness | undefined;
}

export interface WithWrites extends Common {
  /** Done in the transaction that counts. */
  readonly writes?: readonly QuotaWrite[] | undefined;
  /** As for `consumeQuota`; of one feature without writes. */
  readonly lease?: number | undefined;
}

export interface WithRun<T> extends Common {
  /**
   * Runs in a transaction, perhaps more than once, after the units were counted, and takes as long as it takes; what it throws ends the
   * transaction, and the units are given back.
   */
  readonly run: (session: ClientSession) => Promise<T>;
}

/**
 * Uses up units of one or several allowances, all of them or none, together with writes of the application's own.
 *
 * With `writes` it is one transaction, which many callers share: what is counted is written, and nothing else. With `run` the units are
 * counted first, so a process that dies in between leaves them used; never is anything written that was not counted. They go back when
 * nothing was written; where the answer to the commit is lost they stay used until it turns out that nothing was.
 *
 * @returns the state of each feature, and what `run` gave
 * @throws {TypeError} when the subject is none, an amount or the lease is not a positive integer up to 2^53 − 1, or there is no amount
 * @throws {TollgateError} `quota_exceeded` (429, of the first feature that has not enough), `entitlement_missing` (403), `overloaded`
 *   (503), `database_unavailable` (503); and whatever the writes, or `run`, throw, then nothing is counted
 * @example await withQuota({ subject, amounts: { projects: 1 }, writes: [{ model: Project, insertOne: { document } }] });
 */
export async function withQuota<T>(
  input: WithRun<T>,
): Promise<{ quota: Record<string, QuotaState>; result: T }>;
export async function withQuota(input: WithWrites): Promise<{ quota: Record<string, QuotaState> }>;
export async function withQuota<T>(
  input: WithWrites & Partial<WithRun<T>>,
): Promise<{ quota: Record<string, QuotaState>; result?: T }> {
  const { subject, amounts, writes, run, strict, lease, ...rest } = input;
  const connection = opened(rest.connection);
  const features = Object.entries(amounts);
  if (features.length === 0) throw new TypeError('withQuota(): option amounts must name a feature');
  if (lease !== undefined) checkAmount(lease, 'lease');
  if (run && writes) throw new TypeError('withQuota(): give it writes or run, not both');
  const [[feature, amount], ...others] = features as [[string, number], ...[string, number][]];
  const quota =
    others.length === 0 && !writes?.length
      ? { [feature]: await consumeQuota({ subject, feature, amount, connection, strict, lease }) }
      : await taken(connection, features.map(([feature, amount]) => ({ subject, feature, amount, strict })), writes); // biome-ignore format: one line
  return run ? { quota, result: await settled(connection, subject, quota, run) } : { quota };
}

/** Takes all that is wanted together with the writes, or throws the refusal of the first feature that has not enough. */
async function taken(
  connection: Connection,
  wanted: readonly Wanted[],
  writes: readonly QuotaWrite[] = [],
): Promise<Record<string, QuotaState>> {
  const demands = await Promise.all(wanted.map(async (each) => demandOf(connection, each)));
  const operations = writes.map(({ model, ...operation }): Write => ({ model, operation }));
  const { taken: found } = await committed(connection, { demands: joined(demands), writes: operations });
  const states = demands.map((demand) => {
    const counter = found.get(nameOf(demand.key)) as Taken;
    return { demand, counter, state: quotaState(demand.key.f, demand.amount, counter) };
  });
  const refused = states.find(({ counter }) => !counter.granted);
  if (refused) throw await exceeded(connection, refused.demand, refused.state);
  return Object.fromEntries(states.map(({ demand, state }) => [demand.feature, refundableAs(state, demand)]));
}

/** Where there is not enough, what expired reservations hold goes back first, as for `consumeQuota`. */
async function committed(connection: Connection, member: Member): Promise<Result> {
  const met = await commitTogether(connection, member);
  if (met.granted) return met;
  const refused = member.demands.filter(({ key }) => !met.taken.get(nameOf(key))?.granted);
  const returned = await Promise.all(refused.map((demand) => hasReturned(connection, demand)));
  return returned.includes(true) ? commitTogether(connection, member) : met;
}

/** One demand a counter: several features may be paid from the same credits. */
function joined(demands: readonly DemandOf[]): readonly DemandOf[] {
  const counters = new Map<string, DemandOf>();
  for (const demand of demands) {
    const amount = demand.amount + (counters.get(nameOf(demand.key))?.amount ?? 0);
    counters.set(nameOf(demand.key), { ...demand, amount });
  }
  return [...counters.values()];
}

/** Runs the application's own transaction, and gives back what was counted for it when nothing is written. */
function settled<T>(
  connection: Connection,
  subject: Subject,
  quota: Readonly<Record<string, QuotaState>>,
  run: (session: ClientSession) => Promise<T>,
): Promise<T> {
  const giveBack = () => {
    const refunds = Object.values(quota).map((state) => refundQuota({ subject, state, connection }));
    return Promise.allSettled(refunds);
  };
  return ownTransaction(connection, run, giveBack);
}
