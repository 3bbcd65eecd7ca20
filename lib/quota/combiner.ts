import type { Connection } from 'mongoose';
import { type Period, type StoredUsage, Usage, type UsageKey } from '../models/usage.js';
import { database } from '../runtime/database.js';
import { perConnection } from '../runtime/per-connection.js';

export interface Take {
  readonly key: UsageKey;
  readonly amount: number;
  /** Units a period; null: unlimited. */
  readonly limit: number | null;
  readonly per: Period;
}

export interface Taken {
  readonly granted: boolean;
  /** The counter as this request left it, at a time of the database's clock. */
  readonly counter: Counter;
}

type Counter = Pick<StoredUsage, 'u' | 'from' | 'to' | 't'>;

interface Waiting extends Take {
  resolve(taken: Taken): void;
  reject(error: unknown): void;
}

/** The requests of one write at most. */
const largest = 512;

/**
 * Folds the requests of one process for the same counter into one conditional write at a time: while a write is under way,
 * the requests that come wait for the next one and share it. So a hot counter costs one round trip for many requests, and
 * does not make them conflict with each other in the storage engine. The write decides, whatever other processes do.
 */
class Combiner {
  readonly #connection: Connection;
  readonly #lanes = new Map<string, Waiting[]>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  take(request: Take): Promise<Taken> {
    return new Promise((resolve, reject) => {
      const name = `${request.key.s} ${request.key.f}`; // a feature's code has no space in it
      const waiting = this.#lanes.get(name);
      const own = { ...request, resolve, reject };
      if (waiting) waiting.push(own);
      else void this.#run(name, [own]);
    });
  }

  async #run(name: string, waiting: Waiting[]): Promise<void> {
    this.#lanes.set(name, waiting);
    while (waiting.length > 0) await this.#write(nextBatch(waiting));
    this.#lanes.delete(name);
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    try {
      settle(batch, await database(() => this.#fold(batch)));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  /** The counter as it was before the batch, in the period that the batch counts in. */
  async #fold(batch: readonly Waiting[]): Promise<Counter> {
    const usage = Usage(this.#connection);
    const { key, limit, per } = batch[0] as Waiting;
    const amounts = batch.map(({ amount }) => amount);
    const total = amounts.reduce((sum, amount) => sum + amount, 0);
    const all = await usage.takeAll(key, total, limit);
    if (all) return { ...all, u: all.u - total };
    const some = await usage.takeSome(key, amounts, limit, per);
    return { ...some, u: some.b };
  }
}

/** The first requests that agree on the allowance, in the order of their coming; a plan may change between two of them. */
function nextBatch(waiting: Waiting[]): Waiting[] {
  const { limit, per } = waiting[0] as Waiting;
  const differs = waiting.findIndex((request) => request.limit !== limit || request.per !== per);
  return waiting.splice(0, Math.min(largest, differs === -1 ? waiting.length : differs));
}

/** Tells each request what the write has decided: the same fold, from the same beginning. */
function settle(batch: readonly Waiting[], before: Counter): void {
  let { u } = before;
  for (const { amount, limit, resolve } of batch) {
    const granted = limit === null || u + amount <= limit;
    if (granted) u += amount;
    resolve({ granted, counter: { ...before, u } });
  }
}

const combiners = perConnection((connection) => new Combiner(connection));

/**
 * Takes `amount` of a quota, all of it or nothing. The grants of a period never exceed `limit`, however many requests and
 * processes take at once. What a lost answer leaves open counts as used.
 */
export const take = (connection: Connection, request: Take): Promise<Taken> =>
  combiners(connection).take(request);
