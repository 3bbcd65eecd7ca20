import { setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { perConnection } from '../runtime/per-connection.js';
import { type Take, type Taken, take } from './combiner.js';
import { databaseClock } from './database-clock.js';
import { noteThreshold } from './note-threshold.js';
import { nameOf } from './sender.js';

/** Units that this process has taken ahead of a counter and not spent yet. */
interface Lease {
  left: number;
  /** What the counter said when they were taken. */
  readonly taken: Taken;
  readonly take: Take;
  /** By the monotonic clock, read before they were asked for. */
  readonly until: number;
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
 * are taken, so a process that dies leaves them used and never is too much granted. What is not spent within five seconds goes
 * back. Where no block is to be had any more each request asks for itself.
 */
class Leases {
  readonly #connection: Connection;
  readonly #pools = new Map<string, Pool>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async take(request: Take, size: number): Promise<Taken> {
    const name = nameOf(request.key);
    const pool = this.#pools.get(name) ?? { lease: undefined, wanted: 0, filling: undefined };
    this.#pools.set(name, pool);
    const at = databaseClock(this.#connection).now();
    const spent = this.#spend(pool, request, at);
    if (spent) return spent;
    pool.wanted += request.amount;
    pool.filling ??= Promise.resolve().then(() => this.#fill(name, pool, request, size));
    await pool.filling;
    return this.#spend(pool, request, at) ?? take(this.#connection, request);
  }

  /** What is in a block counts as used in the database; a threshold is reached when it is spent. */
  #spend(pool: Pool, request: Take, at: Date): Taken | undefined {
    const spent = spend(pool, request, at);
    if (spent) noteThreshold(this.#connection, request.key, spent);
    return spent;
  }

  /** Gives back what is left of all leases, as a process does before it ends. */
  async end(): Promise<void> {
    await Promise.all([...this.#pools].map(([name, pool]) => this.#return(name, pool)));
  }

  async #fill(name: string, pool: Pool, request: Take, size: number): Promise<void> {
    await this.#return(name, pool);
    const amount = Math.min(Number.MAX_SAFE_INTEGER, pool.wanted + size);
    pool.wanted = 0;
    const asked = performance.now();
    const block = { ...request, amount, isAhead: true };
    const taken = await take(this.#connection, block).catch(() => undefined); // each asks for itself then
    pool.filling = undefined;
    if (!taken?.granted) return;
    const until = asked + Math.min(lifetime, taken.to.getTime() - taken.at.getTime());
    const lease: Lease = { left: amount, taken, take: block, until };
    pool.lease = lease;
    const over = () => pool.lease === lease && this.#return(name, pool);
    setTimeout(over, Math.max(0, until - performance.now())).unref();
  }

  /** Ends a lease that is over, or replaced. */
  async #return(name: string, pool: Pool): Promise<void> {
    const { lease } = pool;
    pool.lease = undefined;
    if (!pool.filling) this.#pools.delete(name);
    if (!lease || lease.left === 0) return;
    const rest = { ...lease.take, amount: -lease.left, from: lease.taken.from };
    lease.left = 0;
    await take(this.#connection, rest).catch(() => {}); // lost: too few are granted then, never too many
  }
}

/** Spends of a lease that holds now and knows as much as the request does. */
function spend({ lease }: Pool, { amount, terms }: Take, at: Date): Taken | undefined {
  if (!lease || lease.left < amount || lease.take.terms.version !== terms.version) return undefined;
  if (performance.now() >= lease.until) return undefined;
  lease.left -= amount;
  const { used, remaining } = lease.taken;
  return {
    ...lease.taken,
    at,
    used: used - lease.left,
    remaining: remaining === null ? null : remaining + lease.left,
  };
}

const leases = perConnection((connection) => new Leases(connection));

/** Takes `amount` of a quota from a block of at least `size` units that was taken ahead. */
export const takeAhead = (connection: Connection, request: Take, size: number): Promise<Taken> =>
  leases(connection).take(request, size);

/** Gives back what this process has taken ahead of all counters. */
export const endLeases = (connection: Connection): Promise<void> => leases(connection).end();
