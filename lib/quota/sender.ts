import type { Connection, mongo } from 'mongoose';
import { Usage, type UsageKey, type UsageRow } from '../models/usage.js';
import { type Batch, fold, type Outcome } from './batch.js';
import { databaseClock } from './database-clock.js';
import { fastStatement, foldStatement, isPlain, projection, type Statement, total } from './statements.js';

/** What the last batch of a process and lane did. */
interface Slot {
  readonly n: number;
  /** All was counted, or what fitted, of `m` units with `b` used before; `void`: nothing, for ever. */
  readonly s: 'all' | 'some' | 'void';
  readonly b: number;
  readonly m: number | null;
  readonly t: Date;
  /** The beginning of the period that it counted in, where that is over. */
  readonly f?: Date;
}

export type Counter = UsageRow & {
  readonly p?: Readonly<Record<string, Slot>>;
  /** When it was read. */
  readonly now: Date;
};

/** `late`: nothing was counted nor will be, for the batch came after its deadline. */
export type Answer = Outcome | 'late';

const majority = { w: 'majority' } as const;

/**
 * Brings batches to the database and says what they met. Whatever throws leaves that open.
 *
 * Its commands are its own, for the driver would make retryable writes of them: the slots make those needless, and MongoDB keeps
 * an extra image of each counter for them.
 */
export class Sender {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** One batch, in one command while all of it fits, or nothing does, else in two. */
  async one(batch: Batch): Promise<Answer> {
    const counter = isPlain(batch) ? await this.#modify(batch, fastStatement(batch)) : null;
    if (isSettled(batch, counter)) return this.#answer(batch, counter);
    return this.#answer(batch, await this.#modify(batch, foldStatement(batch, 'first')));
  }

  /** Batches of different counters, in one command and one more that reads what they met; twice that for those that fit in part. */
  async many(batches: readonly Batch[]): Promise<Answer[]> {
    const plain = batches.filter(isPlain);
    if (plain.length > 0) await this.#update(plain.map(fastStatement));
    const counters = await this.#read(batches);
    const rest = batches.filter((batch) => !isSettled(batch, counters.get(nameOf(batch.key))));
    if (rest.length > 0) {
      await this.#update(rest.map((batch) => foldStatement(batch, 'first')));
      for (const [name, counter] of await this.#read(rest)) counters.set(name, counter);
    }
    return batches.map((batch) => this.#answer(batch, counters.get(nameOf(batch.key))));
  }

  /** Once more a batch that may have been counted already, or may still be: it is counted once. */
  async again(batch: Batch): Promise<Answer> {
    return this.#answer(batch, await this.#modify(batch, foldStatement(batch, 'again')));
  }

  /** What became of a batch whose deadline is over; undefined where the counter does not tell. */
  async found(batch: Batch): Promise<Answer | undefined> {
    const counter = (await this.#read([batch], 'majority')).get(nameOf(batch.key));
    return slotOf(batch, counter) && this.#answer(batch, counter);
  }

  #answer(batch: Batch, counter: Counter | null | undefined): Answer {
    if (counter) databaseClock(this.#connection).heard(counter.now);
    return answerOf(batch, counter);
  }

  async #modify(batch: Batch, { q: query, u: update, upsert = false }: Statement): Promise<Counter | null> {
    const fields = projection([batch.slot]);
    const reply = await this.#command({
      findAndModify: this.#name,
      query,
      update,
      upsert,
      fields,
      new: true,
    });
    return reply.value as Counter | null;
  }

  async #update(updates: readonly Statement[]): Promise<void> {
    await this.#command({ update: this.#name, updates, ordered: false });
  }

  /** A reply that says of anything that it failed says too little of the rest. */
  async #command(command: mongo.BSON.Document): Promise<mongo.BSON.Document> {
    const reply = await this.#db.command({ ...command, writeConcern: majority });
    if (reply.writeErrors || reply.writeConcernError)
      throw new Error(
        `The quota's write failed: ${JSON.stringify(reply.writeErrors ?? reply.writeConcernError)}`,
      );
    return reply;
  }

  async #read(
    batches: readonly Batch[],
    level: 'local' | 'majority' = 'local',
  ): Promise<Map<string, Counter>> {
    const counters = this.#db.collection<Counter>(this.#name);
    const found = counters.find(
      { _id: { $in: batches.map(({ key }) => key) } },
      {
        projection: projection(new Set(batches.map(({ slot }) => slot))),
        readPreference: 'primary',
        readConcern: { level },
        batchSize: batches.length + 1,
      },
    );
    return new Map((await found.toArray()).map((counter) => [nameOf(counter._id), counter as Counter]));
  }

  get #name(): string {
    return Usage(this.#connection).collection.name;
  }

  get #db(): mongo.Db {
    const { db } = this.#connection;
    if (!db) throw new Error('The connection is not open');
    return db;
  }
}

/** A counter as one string; a feature's code has no space in it. */
export const nameOf = ({ s, f }: UsageKey): string => `${f} ${s}`;

/** The slot of a batch, once the batch is in it. */
function slotOf({ slot, sequence }: Batch, counter: Counter | null | undefined): Slot | undefined {
  const own = counter?.p?.[slot];
  return own?.n === sequence ? own : undefined;
}

/** Whether the fast statement has said all: the batch was counted, or the counter is current and has no room for any of it. */
function isSettled(batch: Batch, counter: Counter | null | undefined): boolean {
  if (!counter || !isPlain(batch)) return false;
  if (slotOf(batch, counter)) return true;
  const { now, from, to, lv, balances } = counter;
  const isCurrent = from <= now && now < to && lv === batch.terms.version && !balances;
  return isCurrent && answerOf(batch, counter) !== 'late';
}

/** What a batch has met, as the counter says after it. */
export function answerOf(batch: Batch, counter: Counter | null | undefined): Answer {
  if (!counter) throw new Error('The counter is gone'); // deleted in between, with its subject
  const slot = slotOf(batch, counter);
  const met = {
    ...stateOf(counter, batch),
    from: slot?.f ?? counter.from,
    to: counter.to,
    limit: counter.lim,
  };
  if (slot?.s === 'all') return { ...met, granted: 'all', used: Math.max(0, met.used - total(batch.parts)) };
  if (slot?.s === 'some') return { ...met, granted: 'some', used: slot.b, capacity: slot.m };
  const none = { ...met, granted: 'none' } as const;
  const wouldFit = fold(batch.parts, { ...none, granted: 'some' }).some(({ counts }) => counts);
  return wouldFit ? 'late' : none;
}

/** What is used of a counter, and of how much. */
export function stateOf(
  { u, lim, lv, o = 0, balances = [] }: Counter,
  { terms }: Pick<Batch, 'terms'>,
): Pick<Outcome, 'used' | 'own' | 'capacity'> {
  const spent = balances.reduce((sum, { s }) => sum + s, 0);
  const used = u + o + spent;
  if (lim === null) return { used, own: null, capacity: null };
  const { overage = 0 } = lv > terms.version ? {} : terms;
  const left = balances.reduce((sum, { l }) => sum + l, 0);
  const granted = spent + left;
  const capacity = overage === null ? null : Math.max(lim + overage, u + o) + granted;
  const own = Math.max(lim, left > 0 ? u + o : u) + granted; // where a balance is left, what is beyond the limit was used before
  return { used, own, capacity };
}
