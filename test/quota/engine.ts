import type { Connection } from 'mongoose';
import type { UsageKey, UsageRow } from '../../lib/models/usage.js';
import type { Batch, Part, Terms } from '../../lib/quota/batch.js';

/** What the tests use of the engine: its own modules, or those of a copy from which a rule was taken away. */
export interface Engine {
  readonly combiner: typeof import('../../lib/quota/combiner.js');
  readonly sender: typeof import('../../lib/quota/sender.js');
  readonly statements: typeof import('../../lib/quota/statements.js');
  readonly counters: typeof import('../../lib/quota/counters.js');
  readonly feed: typeof import('../../lib/runtime/change-feed.js');
  readonly book: typeof import('../../lib/quota/claim-book.js');
  readonly store: typeof import('../../lib/quota/claim-store.js');
  readonly settling: typeof import('../../lib/quota/settle-batch.js');
  readonly once: typeof import('../../lib/quota/take-once.js');
  readonly leases: typeof import('../../lib/quota/leases.js');
  readonly holds: typeof import('../../lib/quota/settle-holds.js');
  readonly groups: typeof import('../../lib/quota/group-commit.js');
  readonly inside: typeof import('../../lib/quota/fold-inside.js');
}

const modules = {
  combiner: 'quota/combiner',
  sender: 'quota/sender',
  statements: 'quota/statements',
  counters: 'quota/counters',
  feed: 'runtime/change-feed',
  book: 'quota/claim-book',
  store: 'quota/claim-store',
  settling: 'quota/settle-batch',
  once: 'quota/take-once',
  leases: 'quota/leases',
  holds: 'quota/settle-holds',
  groups: 'quota/group-commit',
  inside: 'quota/fold-inside',
} as const satisfies Record<keyof Engine, string>;

/** The engine in a folder with a lib. */
export async function engineIn(folder: string): Promise<Engine> {
  const loaded = Object.entries(modules).map(async ([name, file]) => {
    return [name, await import(`${folder}/lib/${file}.ts`)] as const;
  });
  return Object.fromEntries(await Promise.all(loaded)) as unknown as Engine;
}

export const key: UsageKey = { s: 'user:one', f: 'units' };

export const termsOf = (limit: number | null, version = 1, more: Partial<Terms> = {}): Terms => ({
  limit,
  per: 'lifetime',
  version,
  ...more,
});

/** A batch of one process and lane, which may take effect for a minute. */
export function batchOf(
  sequence: number,
  parts: readonly (number | Part)[],
  more: Partial<Batch> = {},
): Batch {
  return {
    key,
    terms: termsOf(10),
    parts: parts.map((part) => (typeof part === 'number' ? { amount: part } : part)),
    slot: 'xtest0',
    sequence,
    isFirst: false,
    deadline: new Date(Date.now() + 60_000),
    ...more,
  };
}

export type Counter = UsageRow & { readonly p?: Record<string, object> };

export const collectionName = 'tollgate_usage';

/** Not by the model: a copy of the engine has its own. */
export const counters = (connection: Connection) => connection.collection(collectionName);

export async function counterOf(connection: Connection, { s, f }: UsageKey = key): Promise<Counter> {
  const found = await counters(connection).findOne<Counter>({ _id: { s, f } } as never);
  if (!found) throw new Error('There is no such counter');
  return found;
}

/** Writes what nobody but time, or an accident, does to a counter. */
export async function tamper(connection: Connection, update: object | object[], id = key): Promise<void> {
  await counters(connection).updateOne({ _id: id } as never, update as never);
}

/** Ends a counter's period, as time does. */
export const endPeriod = (connection: Connection, id = key): Promise<void> =>
  tamper(connection, [{ $set: { from: new Date('2020-01-01'), to: new Date('2020-02-01') } }], id);
