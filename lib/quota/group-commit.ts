import type { ClientSession, Connection } from 'mongoose';
import { isTollgateError } from '../errors.js';
import type { UsageKey } from '../models/usage.js';
import { perConnection } from '../runtime/per-connection.js';
import { transaction } from '../runtime/transaction.js';
import { type Patient, stillWaiting } from '../runtime/waiting-line.js';
import { fold, newest, type Outcome, type Terms } from './batch.js';
import { databaseClock } from './database-clock.js';
import { FailedLately } from './failed-lately.js';
import { countInside, foldInside } from './fold-inside.js';
import { Gathering } from './gathering.js';
import { noteThreshold } from './note-threshold.js';
import { nameOf } from './sender.js';
import { type Taken, takenOf } from './taken.js';

/** So many units of one counter. */
export interface Demand {
  readonly key: UsageKey;
  readonly terms: Terms;
  readonly amount: number;
}

/** What has `bulkWrite`: a model, or one that is bound to a tenant. */
export interface Writable {
  bulkWrite(operations: never[], options: { session: ClientSession; ordered: boolean }): Promise<unknown>;
}

/** A write of the application's own, as `bulkWrite` takes it. */
export interface Write {
  readonly model: Writable;
  readonly operation: object;
}

/** All demands are met and all writes done, or none. */
export interface Member {
  readonly demands: readonly Demand[];
  readonly writes: readonly Write[];
}

interface Waiting extends Member, Patient {
  /** By which it is known when it fails, and comes again. */
  readonly mark: string | undefined;
  resolve(taken: Result): void;
}

/** What became of a member. Where a demand could not be met nothing was taken, of the others neither. */
export interface Result {
  readonly granted: boolean;
  /** What each demand met, by `nameOf` its key. */
  readonly taken: ReadonlyMap<string, Taken>;
}

/**
 * Commits many members in one transaction: those that wait for the same counters while one is under way share the next. A member
 * whose own writes fail is refused alone, and the others run again without it. Who comes again with what has failed lately runs alone at once.
 */
class GroupCommit {
  readonly #connection: Connection;
  readonly #groups = new Gathering<Waiting>((members) => this.#settleAll(members));
  readonly #failed = new FailedLately();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  commit(member: Member): Promise<Result> {
    const demands = [...member.demands].sort((one, other) => (nameOf(one.key) < nameOf(other.key) ? -1 : 1));
    const name = JSON.stringify(demands.map(({ key }) => nameOf(key)));
    return new Promise((resolve, reject) => {
      const { writes } = member;
      const mark = this.#failed.markOf(name, writes);
      this.#groups.join(name, { demands, writes, mark, since: performance.now(), resolve, reject });
    });
  }

  async #settleAll(members: readonly Waiting[]): Promise<void> {
    const alone = new Set(members.filter(({ mark }) => this.#failed.has(mark)));
    await this.#settle(alone.size === 0 ? members : members.filter((member) => !alone.has(member)));
    for (const member of alone) await this.#settle(stillWaiting([member]));
  }

  /** Commits the members, without those whose writes fail. */
  async #settle(members: readonly Waiting[]): Promise<void> {
    if (members.length === 0) return;
    try {
      const results = await this.#together(members);
      members.forEach(({ demands, mark, resolve }, index) => {
        const result = results[index] as Result;
        this.#failed.forget(mark);
        for (const { key } of demands)
          noteThreshold(this.#connection, key, result.taken.get(nameOf(key)) as Taken);
        resolve(result);
      });
    } catch (error) {
      if (isTollgateError(error, 'database_unavailable'))
        return members.forEach(({ reject }) => void reject(error)); // nobody's own
      const [{ mark, reject }, ...others] = members as readonly [Waiting, ...Waiting[]];
      if (others.length === 0) {
        this.#failed.note(mark);
        return reject(error);
      }
      const half = members.length >> 1;
      await this.#settle(stillWaiting(members.slice(0, half)));
      await this.#settle(stillWaiting(members.slice(half)));
    }
  }

  #together(members: readonly Waiting[]): Promise<Result[]> {
    return transaction(this.#connection, async (session) => {
      const results = await this.#take(session, members);
      const writes = new Map<Writable, object[]>();
      members.forEach((member, index) => {
        if (!results[index]?.granted) return;
        for (const { model, operation } of member.writes) {
          const operations = writes.get(model);
          if (operations) operations.push(operation);
          else writes.set(model, [operation]);
        }
      });
      for (const [model, operations] of writes) {
        await model.bulkWrite(operations as never[], { session, ordered: true });
      }
      return results;
    });
  }

  /** One fold where everybody wants of one counter; else each counter is locked first, and what all of a member's demands fit in is counted. */
  async #take(session: ClientSession, members: readonly Waiting[]): Promise<Result[]> {
    const counters = (members[0] as Waiting).demands;
    if (counters.length === 1) {
      const parts = members.map(({ demands }) => demands[0] as Demand);
      const outcome = await foldInside(this.#connection, session, { ...whatOf(parts), parts });
      return fold(parts, outcome).map(({ counts: granted, used }) => ({
        granted,
        taken: new Map([[nameOf((parts[0] as Demand).key), this.#taken(outcome, granted, used)]]),
      }));
    }
    const what = counters.map((_, index) => whatOf(members.map(({ demands }) => demands[index] as Demand)));
    const outcomes: Outcome[] = [];
    for (const each of what)
      outcomes.push(await foldInside(this.#connection, session, { ...each, parts: [] }));
    const used = outcomes.map((outcome) => outcome.used);
    const results = members.map(({ demands }): Result => {
      const after = demands.map(({ amount }, index) => (used[index] as number) + amount);
      const fit = outcomes.map(
        ({ capacity }, index) => capacity === null || (after[index] as number) <= capacity,
      );
      const granted = !fit.includes(false);
      if (granted) used.splice(0, used.length, ...after);
      const taken = demands.map(({ key }, index) => {
        const outcome = outcomes[index] as Outcome;
        return [nameOf(key), this.#taken(outcome, fit[index] as boolean, used[index] as number)] as const;
      });
      return { granted, taken: new Map(taken) };
    });
    for (const [index, each] of what.entries()) {
      const seen = outcomes[index] as Outcome;
      const amount = (used[index] as number) - seen.used;
      if (amount > 0) await countInside(this.#connection, session, { ...each, parts: [{ amount }] }, seen);
    }
    return results;
  }

  #taken(outcome: Outcome, granted: boolean, used: number): Taken {
    return takenOf(outcome, { counts: granted, used }, databaseClock(this.#connection).now());
  }
}

/** The counter of demands for it, by the newest of their terms. */
const whatOf = (demands: readonly Demand[]) => ({
  key: (demands[0] as Demand).key,
  terms: newest(demands.map(({ terms }) => terms)),
});

const groups = perConnection((connection) => new GroupCommit(connection));

/** Meets the demands of a member and does its writes in one transaction, together with others who want the same just now. */
export const commitTogether = (connection: Connection, member: Member): Promise<Result> =>
  groups(connection).commit(member);
