import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { type Period, type StoredUsage, Usage, type UsageKey } from '../models/usage.js';
import { database, inTime } from '../runtime/database.js';
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

/** Counters that are written at once; the driver's pool (100 connections by default) keeps some for everything else. */
const width = 64;

/**
 * Folds the requests of one process for the same counter into one conditional write at a time: while a write is under way,
 * the requests that come wait for the next one and share it. So a hot counter costs one round trip for many requests, and
 * does not make them conflict with each other in the storage engine. The write decides, whatever other processes do.
 *
 * Whoever has waited for 1.5 s is refused, and is not part of any later write.
 */
class Combiner {
  readonly #connection: Connection;
  readonly #lanes = new Map<string, Waiting[]>();
  readonly #ready: string[] = [];
  #active = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  take(request: Take): Promise<Taken> {
    const name = `${request.key.s} ${request.key.f}`; // a feature's code has no space in it
    const lane = this.#lanes.get(name) ?? this.#open(name);
    let own: Waiting | undefined;
    const taken = new Promise<Taken>((resolve, reject) => {
      own = { ...request, resolve, reject };
      lane.push(own);
    });
    const tooLate = () => {
      const place = lane.indexOf(own as Waiting);
      if (place === -1) return refuse('database_unavailable');
      lane.splice(place, 1);
      return refuse('overloaded');
    };
    return inTime(() => taken, tooLate);
  }

  #open(name: string): Waiting[] {
    const lane: Waiting[] = [];
    this.#lanes.set(name, lane);
    this.#ready.push(name);
    queueMicrotask(() => this.#start());
    return lane;
  }

  #start(): void {
    while (this.#active < width) {
      const name = this.#ready.shift();
      if (name === undefined) return;
      this.#active += 1;
      void this.#run(name, this.#lanes.get(name) ?? []);
    }
  }

  async #run(name: string, lane: Waiting[]): Promise<void> {
    while (lane.length > 0) await this.#write(nextBatch(lane));
    this.#lanes.delete(name);
    this.#active -= 1;
    this.#start();
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    let over = false;
    try {
      settle(batch, await database(() => this.#fold(batch, () => over)));
    } catch (error) {
      over = true;
      for (const { reject } of batch) reject(error);
    }
  }

  /** The counter as it was before the batch, in the period that the batch counts in. */
  async #fold(batch: readonly Waiting[], isOver: () => boolean): Promise<Counter> {
    const usage = Usage(this.#connection);
    const { key, limit, per } = batch[0] as Waiting;
    const amounts = batch.map(({ amount }) => amount);
    const total = amounts.reduce((sum, amount) => sum + amount, 0);
    const all = await usage.takeAll(key, total, limit);
    if (all) return { ...all, u: all.u - total };
    if (isOver()) throw refuse('database_unavailable'); // nobody waits for it any more
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
