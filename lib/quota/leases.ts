import { setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { changeFeed } from '../runtime/change-feed.js';
import { perConnection } from '../runtime/per-connection.js';
import { Changes } from './changes.js';
import { take } from './combiner.js';
import { databaseClock } from './database-clock.js';
import { noteThreshold } from './note-threshold.js';
import { nameOf } from './sender.js';
import type { Take, Taken } from './taken.js';

/** Units that this process has taken ahead of a counter and not spent yet. */
interface Lease {
  left: number;
  /** What the counter said when they were taken. */
  readonly taken: Taken;
  readonly take: Take;
  /** By the monotonic clock, read before they were asked for. */
  readonly until: number;
  /** How many changes had been heard of then. */
  readonly heard: number;
}

interface Pool {
  lease: Lease | undefined;
  /** Units that are wanted by those who wait for the next lease. */
  wanted: number;
  filling: Promise<void> | undefined;
}

/** Milliseconds for which units are kept ahead; what is left then goes back. */
const lifetime = 5_000;

/**
 * Spends units that were taken ahead in blocks, without asking the database for each. They count as used from the moment that they
 * are taken, so a process that dies leaves them used and never is too much granted. What is not spent within five seconds, or before
 * something changes of what the subject may use, goes back. Where no block is to be had any more each request asks for itself.
 */
class Leases {
  readonly #connection: Connection;
  readonly #pools = new Map<string, Pool>();
  readonly #returning = new Set<Promise<unknown>>();
  readonly #changes = new Changes();

  constructor(connection: Connection) {
    this.#connection = connection;
    changeFeed(connection).onChange((subject) => this.#changes.hear(subject));
  }

  /** Counters of which there is a lease, or one is asked for. */
  get count(): number {
    return this.#pools.size;
  }

  async take(request: Take, size: number): Promise<Taken> {
    const name = nameOf(request.key);
    const pool = this.#pools.get(name) ?? { lease: undefined, wanted: 0, filling: undefined };
    this.#pools.set(name, pool);
    const known = this.#spend(pool, request);
    if (known) return known;
    pool.wanted += request.amount;
    pool.filling ??= Promise.resolve().then(() => this.#fill(name, pool, request, size));
    await pool.filling;
    const spent = this.#spend(pool, request);
    if (spent) return spent;
    if (pool.lease && !this.#isGood(pool.lease, request)) this.#return(name, pool); // it may be all that there is: before the request
    return take(this.#connection, request);
  }

  /** Gives back what is left of all leases, as a process does before it ends, also what is on its way back. */
  async end(): Promise<void> {
    for (const [name, pool] of this.#pools) this.#return(name, pool);
    await Promise.all(this.#returning);
  }

  async #fill(name: string, pool: Pool, request: Take, size: number): Promise<void> {
    this.#return(name, pool); // it stands before the block in the same batch
    const amount = Math.min(Number.MAX_SAFE_INTEGER, pool.wanted + size);
    pool.wanted = 0;
    const [asked, heard] = [performance.now(), this.#changes.count];
    const block = { ...request, amount, isAhead: true };
    try {
      const taken = await take(this.#connection, block);
      if (taken.granted)
        this.#begin(name, pool, { left: amount, taken, take: block, until: end(taken, asked), heard });
    } finally {
      pool.filling = undefined;
      if (!pool.lease) this.#forget(name, pool); // each asks for itself then
    }
  }

  #begin(name: string, pool: Pool, lease: Lease): void {
    pool.lease = lease;
    const over = () => pool.lease === lease && this.#return(name, pool);
    setTimeout(over, Math.max(0, lease.until - performance.now())).unref();
  }

  #forget(name: string, pool: Pool): void {
    if (this.#pools.get(name) === pool) this.#pools.delete(name);
  }

  /** Ends a lease that is over, or replaced. */
  #return(name: string, pool: Pool): void {
    const { lease } = pool;
    pool.lease = undefined;
    if (!pool.filling) this.#forget(name, pool);
    if (!lease || lease.left === 0) return;
    const rest = { ...lease.take, amount: -lease.left, from: lease.taken.from };
    lease.left = 0;
    const returning = take(this.#connection, rest).catch(() => {}); // lost: too few are granted then, never too many
    this.#returning.add(returning);
    void returning.then(() => this.#returning.delete(returning));
  }

  #isGood({ take: { terms }, until, heard }: Lease, request: Take): boolean {
    if (performance.now() >= until || terms.version !== request.terms.version) return false;
    return this.#changes.lastOf(request.key.s) <= heard;
  }

  /**
   * Spends of a lease that holds now and knows as much as the request does: a reset begins another period of the same plan. What is in a
   * block counts as used in the database; a threshold is reached when it is spent.
   */
  #spend({ lease }: Pool, request: Take): Taken | undefined {
    const { key, amount } = request;
    if (!lease || lease.left < amount || !this.#isGood(lease, request)) return undefined;
    lease.left -= amount;
    const { used, remaining } = lease.taken;
    const taken = {
      ...lease.taken,
      at: databaseClock(this.#connection).now(),
      used: used - lease.left,
      remaining: remaining === null ? null : remaining + lease.left,
    };
    noteThreshold(this.#connection, key, taken);
    return taken;
  }
}

/** When a block that was asked for then is over, or its period. */
const end = ({ to, at }: Taken, asked: number): number =>
  asked + Math.min(lifetime, to.getTime() - at.getTime());

const leases = perConnection((connection) => new Leases(connection));

/** Takes `amount` of a quota from a block of at least `size` units that was taken ahead. */
export const takeAhead = (connection: Connection, request: Take, size: number): Promise<Taken> =>
  leases(connection).take(request, size);

/** Of how many counters something is remembered, so that it can be seen that it is not of every one. */
export const countersLeased = (connection: Connection): number => leases(connection).count;

/** Gives back what this process has taken ahead of all counters. */
export const endLeases = (connection: Connection): Promise<void> => leases(connection).end();
