import { type ClientSession, type Connection, Types } from 'mongoose';
import { Reservations, type StoredReservation } from '../models/reservation.js';
import type { UsageKey } from '../models/usage.js';
import { perConnection } from '../runtime/per-connection.js';
import { subjectKey } from '../runtime/subject.js';
import { transaction } from '../runtime/transaction.js';
import type { Patient } from '../runtime/waiting-line.js';
import { newest, type Part, type Terms } from './batch.js';
import { forgetDenial } from './combiner.js';
import { countInside, foldInside } from './fold-inside.js';
import { Gathering } from './gathering.js';
import { nameOf } from './sender.js';

/** What is to become of a hold. */
export interface Settlement {
  readonly hold: StoredReservation;
  readonly to: 'committed' | 'released' | 'expired';
  /** Units that were used, of what was asked for: none unless it is committed. */
  readonly asked: number;
  /** By which more than was held is taken; undefined: the subject's plan does not have it any more. */
  readonly terms?: Terms | undefined;
}

interface Waiting extends Settlement, Patient {
  /** True when this settled it, false when the hold was not held any more, had expired, or has not yet. */
  resolve(settled: boolean): void;
}

/** The counter that a hold was taken of. */
export const keyOf = ({ subject, counter }: StoredReservation): UsageKey => ({
  s: subjectKey(subject as Parameters<typeof subjectKey>[0]),
  f: counter,
});

/**
 * Settles holds, those that wait for one counter while a transaction is under way in the next one together. In it each hold leaves
 * its state by a conditional write, and what it did not use goes back: so neither happens twice, or without the other.
 */
class Settler {
  readonly #connection: Connection;
  readonly #groups = new Gathering<Waiting>((members) => this.#settle(members));

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  settle(settlement: Settlement): Promise<boolean> {
    const name = nameOf(keyOf(settlement.hold));
    return new Promise((resolve, reject) => {
      this.#groups.join(name, { ...settlement, since: performance.now(), resolve, reject });
    });
  }

  async #settle(members: readonly Waiting[]): Promise<void> {
    try {
      const settled = await transaction(this.#connection, (session) => this.#together(session, members));
      forgetDenial(this.#connection, keyOf((members[0] as Waiting).hold)); // something may have come back
      members.forEach((member) => void member.resolve(settled.has(member)));
    } catch (error) {
      for (const { reject } of members) reject(error);
    }
  }

  async #together(session: ClientSession, members: readonly Waiting[]): Promise<Set<Waiting>> {
    const key = keyOf((members[0] as Waiting).hold);
    const terms = newest(members.map(({ hold }) => hold.terms as Terms));
    const isCounted = members.some(({ hold, asked }) => asked !== hold.amount);
    // The counter is locked first: were it changed by others after the holds were read, all would have to begin anew.
    if (isCounted) await foldInside(this.#connection, session, { key, terms, parts: [], onlyBack: true });
    const settled = new Set(await this.#leave(session, members));
    await this.#giveBack(session, key, [...settled]);
    await this.#takeMore(session, key, [...settled]);
    return settled;
  }

  /** Those that were the first to settle their hold. */
  async #leave(session: ClientSession, members: readonly Waiting[]): Promise<Waiting[]> {
    const attempts = members.map((member) => ({ member, by: new Types.ObjectId() }));
    const reservations = Reservations(this.#connection);
    await reservations.bulkWrite(
      attempts.map(({ member: { hold, to, asked }, by }) => {
        const used = Math.min(asked, hold.amount);
        const change = { state: to, settledAt: '$$NOW', settledBy: by, asked, used };
        return { updateOne: { filter: { _id: hold._id, ...settling[to] }, update: [{ $set: change }] } };
      }) as never[],
      { session, ordered: true },
    );
    const ids = { _id: { $in: members.map(({ hold }) => hold._id) } };
    const found = await reservations.find(ids, { settledBy: 1 }, { session }).lean();
    const winners = new Set(found.map(({ settledBy }) => String(settledBy)));
    return attempts.filter(({ by }) => winners.has(String(by))).map(({ member }) => member);
  }

  /** What was held and not used goes back to the period that it was taken from, or nowhere when that is over. */
  async #giveBack(session: ClientSession, key: UsageKey, members: readonly Waiting[]): Promise<void> {
    const parts: Part[] = members
      .map(({ hold, asked }) => ({ amount: (asked - hold.amount) * hold.price, from: hold.from }))
      .filter(({ amount }) => amount < 0);
    if (parts.length === 0) return;
    const terms = newest(members.map(({ hold }) => hold.terms as Terms));
    await foldInside(this.#connection, session, { key, terms, parts, onlyBack: true });
  }

  /** What was used beyond what was held is taken now, as far as there is some. */
  async #takeMore(session: ClientSession, key: UsageKey, members: readonly Waiting[]): Promise<void> {
    const more = members.flatMap((member) =>
      member.terms && member.asked > member.hold.amount ? [{ ...member, terms: member.terms }] : [],
    );
    if (more.length === 0) return;
    const terms = newest(more.map((member) => member.terms));
    const seen = await foldInside(this.#connection, session, { key, terms, parts: [] });
    const { used, capacity } = seen;
    let room = capacity === null ? Number.POSITIVE_INFINITY : Math.max(0, capacity - used);
    const paid = more.map(({ hold, asked }) => {
      const units = Math.min(asked - hold.amount, Math.floor(room / hold.price));
      room -= units * hold.price;
      return { filter: { _id: hold._id }, update: { $inc: { used: units } }, cost: units * hold.price };
    });
    const parts = paid.filter(({ cost }) => cost > 0).map(({ cost }) => ({ amount: cost }));
    if (parts.length === 0) return;
    await countInside(this.#connection, session, { key, terms, parts }, seen);
    const updates = paid.map(({ filter, update }) => ({ updateOne: { filter, update } }));
    await Reservations(this.#connection).bulkWrite(updates as never[], { session });
  }
}

const isOver = { $lte: ['$expiresAt', '$$NOW'] };

/** What must hold of a hold that is settled so; one that has expired may still be released. */
const settling: Readonly<Record<Settlement['to'], object>> = {
  committed: { state: 'held', $expr: { $not: isOver } },
  released: { state: 'held' },
  expired: { state: 'held', $expr: isOver },
};

const settlers = perConnection((connection) => new Settler(connection));

/**
 * Settles a hold; gives whether this did it.
 *
 * @throws {TollgateError} `overloaded` (503), `database_unavailable` (503)
 */
export const settleHold = (connection: Connection, settlement: Settlement): Promise<boolean> =>
  settlers(connection).settle(settlement);
