import { randomBytes } from 'node:crypto';
import { setImmediate, setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import type { UsageKey } from '../models/usage.js';
import { changeFeed } from '../runtime/change-feed.js';
import { inTime, patience } from '../runtime/database.js';
import { perConnection } from '../runtime/per-connection.js';
import { type Batch, fold, newest, type Outcome } from './batch.js';
import { Changes } from './changes.js';
import { type Claim, type ClaimBook, claimBook } from './claim-book.js';
import { type DatabaseClock, databaseClock } from './database-clock.js';
import { noteThreshold } from './note-threshold.js';
import { type Answer, nameOf, Sender } from './sender.js';
import { ClaimTaken, type Take, type Taken, takenOf } from './taken.js';

interface Waiting extends Take {
  readonly since: number;
  resolve(taken: Taken): void;
  reject(error: Error): void;
  /** Its caller has been answered: what is still counted for it is given back. */
  over: boolean;
}

/** What a refusal has told: larger amounts than `room` would be refused too. */
interface Denial {
  readonly room: number;
  readonly version: number;
  readonly until: number;
  /** How many changes had been heard of when it was asked for. */
  readonly heard: number;
  readonly taken: Taken;
}

/** The requests of this process for one counter. */
interface Line {
  readonly key: UsageKey;
  readonly waiting: Waiting[];
  /** The batch that each lane has under way. */
  readonly lanes: [Shipment | null, Shipment | null];
  isReady: boolean;
  /** Until its first batch, which also rids the counter of what earlier processes have left. */
  isNew: boolean;
  denial: Denial | undefined;
}

interface Shipment extends Batch {
  readonly line: Line;
  readonly lane: 0 | 1;
  readonly parts: readonly Waiting[];
  readonly heard: number;
}

/** Parts of one batch, and counters of one command, at most. */
const largest = 512;
/** Commands under way. */
const width = 4;
/** So few counters are written each by a command of its own. */
const few = 3;
/** Requests that may wait for one counter. */
const queue = 20_000;
/** Counters that are remembered while nobody wants anything of them. */
const remembered = 200_000;
/** Milliseconds: how often it is looked for whoever has waited too long, how long a denial holds. */
const [glance, denied] = [100, 500];

/**
 * Folds the requests of one process into few writes: those for one counter that come together into one batch, and the batches of
 * a turn of the event loop into one command. Two batches of a counter are under way at most; meanwhile the next ones gather. The
 * database decides on each, whatever other processes do.
 *
 * Whoever has waited for 1.5 s is refused. What is counted for them all the same is given back, once that is known, or stays with
 * their idempotency key.
 */
class Combiner {
  readonly #connection: Connection;
  readonly #sender: Sender;
  readonly #clock: DatabaseClock;
  readonly #claims: ClaimBook;
  /** Fresh at every start, so that no number is ever used again. */
  readonly #process = `x${randomBytes(9).toString('base64url')}`;
  readonly #lines = new Map<string, Line>();
  readonly #busy = new Set<Line>();
  #ready: Line[] = [];
  /** Batches whose idempotency keys are claimed. */
  #claimed: Shipment[] = [];
  readonly #changes = new Changes();
  #sequence = 0;
  #flying = 0;
  #isTicking = false;
  #isWatching = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#sender = new Sender(connection);
    this.#clock = databaseClock(connection);
    this.#claims = claimBook(connection);
    changeFeed(connection).onChange((subject) => this.#changes.hear(subject));
  }

  take(request: Take): Promise<Taken> {
    const line = this.#lineOf(request.key);
    if (request.amount < 0) line.denial = undefined;
    const refused = request.claim ? undefined : this.#refusedBy(line.denial, request); // a key may have its answer
    if (refused) return Promise.resolve(refused);
    if (line.waiting.length >= queue) return Promise.reject(refuse('overloaded'));
    const { key, terms, amount, from, claim, isAhead } = request;
    return new Promise((resolve, reject) => {
      const since = performance.now();
      line.waiting.push({ key, terms, amount, from, claim, isAhead, since, resolve, reject, over: false });
      this.#ask(line);
    });
  }

  /** Forgets what was refused: units have come back. */
  forget({ s: subject }: UsageKey): void {
    this.#changes.hear(subject);
  }

  #lineOf(key: UsageKey): Line {
    const name = nameOf(key);
    const known = this.#lines.get(name);
    if (known) return known;
    const line: Line = {
      key,
      waiting: [],
      lanes: [null, null],
      isReady: false,
      isNew: true,
      denial: undefined,
    };
    this.#lines.set(name, line);
    if (this.#lines.size > remembered) this.#forget();
    return line;
  }

  /** The oldest of those that nothing is under way for. */
  #forget(): void {
    for (const [name, line] of this.#lines) {
      if (this.#lines.size <= remembered * 0.9) return;
      if (!this.#busy.has(line)) this.#lines.delete(name);
    }
  }

  #refusedBy(denial: Denial | undefined, { key, amount, terms }: Take): Taken | undefined {
    if (!denial || amount <= denial.room || terms.version !== denial.version) return undefined;
    if (this.#changes.lastOf(key.s) > denial.heard) return undefined; // there may be more to be had
    return performance.now() < denial.until ? { ...denial.taken, at: this.#clock.now() } : undefined;
  }

  #ask(line: Line): void {
    this.#busy.add(line);
    this.#watch();
    if (line.isReady) return;
    line.isReady = true;
    this.#ready.push(line);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isTicking) return;
    this.#isTicking = true;
    setImmediate(() => void this.#tick());
  }

  /** Sends what has gathered, as far as there is room for more commands. */
  async #tick(): Promise<void> {
    if (this.#clock.isMute && !(await this.#listen())) return; // it comes back here
    this.#isTicking = false;
    if (this.#flying >= width) return; // the end of a command comes back here
    const lines = this.#ready.splice(0, largest);
    const loaded = lines.flatMap((line) => this.#load(line) ?? []);
    for (const shipment of loaded) if (hasClaims(shipment)) void this.#claim(shipment);
    const shipments = [...this.#claimed.splice(0), ...loaded.filter((shipment) => !hasClaims(shipment))];
    if (shipments.length > few) void this.#fly(shipments);
    else for (const shipment of shipments) void this.#fly([shipment]);
    if (this.#ready.length > 0) void this.#tick();
  }

  /** Asks for the database's time, and says whether it was told: before that nothing can be sent, for what is dated by it would be over at once. */
  async #listen(): Promise<boolean> {
    await this.#clock.ask().catch(() => {}); // its requests are refused when their time is over
    if (this.#clock.isMute) setTimeout(() => void this.#tick(), glance);
    return !this.#clock.isMute;
  }

  #load(line: Line): Shipment | undefined {
    line.isReady = false;
    const lane = line.lanes.indexOf(null) as 0 | 1 | -1;
    if (lane === -1) return undefined; // the end of a batch comes back here
    const parts = line.waiting.splice(0, largest).filter(({ over }) => !over);
    if (parts.length === 0) return line.waiting.length > 0 ? this.#load(line) : this.#rest(line);
    const terms = newest(parts.map((part) => part.terms));
    this.#sequence += 1;
    const slot = `${this.#process}${lane}`;
    const deadline = this.#clock.deadline();
    const { key, isNew: isFirst } = line;
    const { count: heard } = this.#changes;
    const shipment = {
      key,
      terms,
      parts,
      slot,
      sequence: this.#sequence,
      deadline,
      isFirst,
      line,
      lane,
      heard,
    };
    line.isNew = false;
    line.lanes[lane] = shipment;
    if (line.waiting.length > 0) this.#ask(line);
    return shipment;
  }

  /** Claims the keys of a batch, in one command with those of others; it goes on without the parts whose key somebody has. */
  async #claim(shipment: Shipment): Promise<void> {
    const entered = await this.#claims.enter(shipment, shipment.parts).catch(() => undefined);
    shipment.parts.forEach((part, index) => {
      if (!entered) this.#refuse(part, 'database_unavailable');
      else if (!entered[index]) this.#settle(part, () => part.reject(new ClaimTaken()));
    });
    const parts = shipment.parts.filter((_, index) => entered?.[index]);
    if (parts.length === 0) return this.#free(shipment);
    const claimed = { ...shipment, parts };
    shipment.line.lanes[shipment.lane] = claimed;
    this.#claimed.push(claimed);
    this.#schedule();
  }

  #settle(part: Waiting, settle: () => void): void {
    if (!part.over) settle();
    part.over = true;
  }

  #rest(line: Line): undefined {
    if (line.waiting.length === 0 && line.lanes.every((lane) => lane === null)) this.#busy.delete(line);
  }

  async #fly(shipments: readonly Shipment[]): Promise<void> {
    this.#flying += 1;
    try {
      const answers = await inTime(
        () => this.#send(shipments),
        () => new Error('No answer in time'),
      );
      shipments.forEach((shipment, index) => void this.#land(shipment, answers[index] as Answer));
    } catch {
      for (const shipment of shipments) void this.#recover(shipment);
    }
    this.#flying -= 1;
    if (this.#ready.length + this.#claimed.length > 0) void this.#tick();
  }

  async #send(shipments: readonly Shipment[]): Promise<readonly Answer[]> {
    const [only, ...others] = shipments as [Shipment, ...Shipment[]];
    return others.length === 0 ? [await this.#sender.one(only)] : this.#sender.many(shipments);
  }

  /** Asks again for the same batch until its outcome is known, or the database cannot tell it any more. */
  async #recover(shipment: Shipment): Promise<void> {
    const within = (work: () => Promise<Answer | undefined>) =>
      inTime(work, () => new Error('No answer in time')).catch(() => undefined);
    for (let pause = 20; this.#clock.now() < shipment.deadline; pause = Math.min(1_000, pause * 2)) {
      const answer = await within(() => this.#sender.again(shipment));
      if (answer) return this.#land(shipment, answer);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    const found = await within(() => this.#sender.found(shipment));
    if (found) return this.#land(shipment, found);
    for (const part of shipment.parts) this.#refuse(part, 'database_unavailable'); // what was counted stays counted
    this.#free(shipment);
  }

  /** Tells everybody what the batch has met. */
  async #land(shipment: Shipment, answer: Answer): Promise<void> {
    const { line, parts, terms, heard } = shipment;
    if (answer === 'late') return this.#sendAnew(shipment);
    const at = this.#clock.now();
    const isAhead = parts.some((part) => part.isAhead);
    const left: Claim[] = [];
    fold(parts, answer).forEach(({ counts: granted, used }, index) => {
      const part = parts[index] as Waiting;
      const taken = takenOf(answer, { counts: granted, used }, at);
      const { to, capacity } = answer;
      if (part.amount < 0) line.denial = undefined;
      else if (!granted && capacity !== null) {
        const until = performance.now() + Math.min(denied, to.getTime() - at.getTime());
        line.denial = { room: capacity - used, version: terms.version, until, heard, taken };
      }
      if (index === parts.length - 1 && !isAhead) noteThreshold(this.#connection, line.key, taken);
      if (part.claim && !(granted && part.amount > 0))
        void this.#release(part.claim, () => part.resolve(taken));
      else if (!part.over) part.resolve(taken);
      else if (part.claim) left.push(part.claim);
      else if (granted && part.amount > 0) this.#giveBack(part, taken.from);
    });
    if (hasClaims(shipment)) await this.#record(shipment, answer, at);
    for (const claim of left) void this.#claims.letGo(claim).catch(() => {}); // the next one with the key goes on with its charge, in ten seconds at the latest
    this.#free(shipment);
  }

  /** Whoever is told that nothing is charged for their key any more finds it free. */
  async #release(claim: Claim, then: () => void): Promise<void> {
    await this.#claims.release(claim).catch(() => {}); // else the next one with the key finds out
    then();
  }

  /** The lane goes on when the outcome is noted, for its next batch takes the slot, from which it could be told. */
  async #record(shipment: Shipment, outcome: Outcome, at: Date): Promise<void> {
    for (let pause = 20; pause < 60_000; pause *= 2) {
      try {
        return await this.#claims.record(shipment, outcome, at);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  /** The database's clock is another than we thought, after a change of the primary perhaps. */
  async #sendAnew(shipment: Shipment): Promise<void> {
    await this.#clock.ask().catch(() => {});
    shipment.line.waiting.unshift(...shipment.parts.filter(({ over }) => !over));
    this.#free(shipment);
  }

  #free({ line, lane }: Shipment): void {
    line.lanes[lane] = null;
    if (line.waiting.length > 0) this.#ask(line);
    else this.#rest(line);
  }

  #giveBack({ key, terms, amount }: Waiting, from: Date): void {
    this.take({ key, terms, amount: -amount, from }).catch(() => {}); // lost, then: too few are granted, never too many
  }

  #refuse(part: Waiting, code: 'overloaded' | 'database_unavailable'): void {
    if (!part.over) part.reject(refuse(code));
    part.over = true;
  }

  /** Looks ten times a second for whoever has waited too long, while anybody waits. */
  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const look = () => {
      const due = performance.now() - patience;
      for (const { waiting, lanes } of this.#busy) {
        for (const part of waiting) if (part.since <= due) this.#refuse(part, 'overloaded');
        for (const shipment of lanes)
          for (const part of shipment?.parts ?? [])
            if (part.since <= due) this.#refuse(part, 'database_unavailable');
      }
      if (this.#busy.size > 0) setTimeout(look, glance);
      else this.#isWatching = false;
    };
    setTimeout(look, glance);
  }
}

const hasClaims = ({ parts }: Shipment): boolean => parts.some(({ claim }) => claim !== undefined);

const combiners = perConnection((connection) => new Combiner(connection));

/**
 * Takes `amount` of a quota, all of it or nothing; a negative amount gives back. The grants of a period never exceed the limit,
 * however many requests and processes take at once. What a lost answer leaves open counts as used.
 *
 * @throws {TollgateError} `overloaded` (503) when it was not counted, `database_unavailable` (503) when that is not known
 */
export const take = (connection: Connection, request: Take): Promise<Taken> =>
  combiners(connection).take(request);

/** Lets the next request for a counter ask the database, whatever was refused just now: something has been given back. */
export const forgetDenial = (connection: Connection, key: UsageKey): void =>
  combiners(connection).forget(key);
