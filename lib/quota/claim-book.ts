import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { isTollgateError } from '../errors.js';
import type { ClaimKey, ClaimRow, Position, StoredAnswer } from '../models/claim.js';
import { perConnection } from '../runtime/per-connection.js';
import type { Batch, Outcome, Part } from './batch.js';
import { type BatchRow, type ClaimStore, claimStore } from './claim-store.js';
import { databaseClock } from './database-clock.js';

/** An idempotency key as one request, or call, of this process holds it. */
export interface Claim {
  readonly key: ClaimKey;
  /** Of the request: another one must not have the same key. */
  readonly hash: string;
  /** Milliseconds. */
  readonly window: number;
  /** The claim that keeps the answer of the request, where that is another: this one is never remembered longer. */
  readonly within: Claim | undefined;
  readonly run: string;
  /** When it was made, in milliseconds of this process. */
  readonly since: number;
  /** False until it stands in the database. */
  isHeld: boolean;
  /** Until when it is remembered, as far as that is known to be written. */
  expiresAt: Date;
  /** What was charged for it. */
  charge: Position | null;
  /** Units of the charge that were given back, at most: some perhaps not, where no answer came. */
  given: number;
  /** The part that was to give back all the rest; when another one is to, it has come too late. */
  refund: Position | null;
}

/** A part of a batch, perhaps with a claim. */
export interface ClaimedPart extends Part {
  readonly claim?: Claim | undefined;
}

/** Milliseconds: for how long a claim is held unless that is said again, how often it is said again. */
const [lease, glance] = [10_000, 3_000];

/**
 * The idempotency keys of one process. The unique `_id` decides who has a key; whatever is changed later is changed only while `run`
 * still holds it.
 */
export class ClaimBook {
  readonly #connection: Connection;
  readonly #store: ClaimStore;
  readonly #process = randomBytes(9).toString('base64url');
  readonly #running = new Set<Claim>();
  #runs = 0;
  #gifts = 0;
  #isWatching = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#store = claimStore(connection);
  }

  /** A new run of a request with a key; nothing is written yet. */
  claim(key: ClaimKey, hash: string, window: number, within?: Claim): Claim {
    this.#runs += 1;
    const run = `${this.#process}.${this.#runs}`;
    const since = performance.now();
    const nothing = { isHeld: false, expiresAt: new Date(0), charge: null, given: 0, refund: null };
    return { key, hash, window, within, run, since, ...nothing };
  }

  /** Claims a key for a request that nothing is charged for; false: somebody has it. */
  async open(claim: Claim): Promise<boolean> {
    claim.isHeld = await this.#store.insert(this.#rowOf(claim, this.#in(lease)));
    return claim.isHeld;
  }

  /**
   * Lets each claim of a batch point at its part, before that is sent: a new one is put into the database, one that gives back says
   * so. Tells of every part whether it may be sent: of the others somebody else has the key.
   */
  async enter(batch: Batch, parts: readonly ClaimedPart[]): Promise<boolean[]> {
    const [isStored, ...entered] = await Promise.all([
      this.#enterBatch(batch, parts),
      ...parts.map((part, i) => this.#point(batch, part, i)),
    ]);
    if (!isStored) throw new Error('The batch comes too late'); // somebody has given it up
    if (entered.includes(false)) {
      const left = partsOf(parts).filter(({ i }) => entered[i]);
      await this.#store.changeBatch({ q: { _id: idOf(batch) }, u: { $set: { parts: left } } });
    }
    return entered;
  }

  #enterBatch(batch: Batch, parts: readonly ClaimedPart[]): Promise<boolean> {
    const { key, slot, sequence, deadline, terms } = batch;
    const longest = Math.max(...parts.map(({ claim }) => claim?.window ?? 0));
    return this.#store.insertBatch({
      _id: idOf(batch),
      feature: key.f,
      slot,
      sequence,
      overage: terms.overage === undefined ? 0 : terms.overage,
      deadline,
      parts: partsOf(parts),
      outcome: null,
      expiresAt: new Date(deadline.getTime() + longest),
    });
  }

  async #point(batch: Batch, { claim, amount }: ClaimedPart, i: number): Promise<boolean> {
    if (!claim) return true;
    const here = { b: idOf(batch), i };
    if (amount < 0) {
      const q = { refund: claim.refund, given: { $lte: claim.given } };
      const set = { refund: here, until: batch.deadline };
      const isEntered = await this.#set(claim, set, ({ refund }) => at(refund, here), q);
      if (isEntered) claim.refund = here;
      return isEntered;
    }
    claim.charge = here;
    const set = { charge: here, until: batch.deadline };
    if (claim.isHeld) return this.#set(claim, set, ({ charge }) => at(charge, here));
    claim.isHeld = await this.#store.insert(this.#rowOf(claim, batch.deadline));
    return claim.isHeld;
  }

  /** Gives up a batch that was never written, so that it cannot be any more; false: it is there. */
  giveUp(_id: string): Promise<boolean> {
    const nothing = { feature: '', slot: '', sequence: 0, overage: 0, parts: [], outcome: 'void' } as const;
    return this.#store.insertBatch({ _id, ...nothing, deadline: this.#in(0), expiresAt: this.#in(lease) });
  }

  /** Notes what a batch has met, for as long as anybody may ask. */
  async record(batch: Batch, outcome: Outcome | 'void', time: Date): Promise<void> {
    const met = outcome === 'void' ? outcome : { ...outcome, at: time };
    await this.#store.changeBatch({ q: { _id: idOf(batch), outcome: null }, u: { $set: { outcome: met } } });
  }

  /**
   * Notes that units of the charge are about to be given back, or with a negative number that they were not; false: another did so first.
   * To be asked one after the other: else the database may hear of the second before the first.
   */
  async give(claim: Claim, units: number): Promise<boolean> {
    const [before, given] = [claim.given, claim.given + units];
    const q = { refund: claim.refund, given: { $lte: before } };
    this.#gifts += 1;
    const giver = `${this.#process}.${this.#gifts}`; // another state of the key may have given as much
    claim.given = given;
    try {
      return await this.#set(claim, { given, giver }, (row) => row.giver === giver, q);
    } catch (error) {
      if (isTollgateError(error, 'overloaded')) claim.given -= units; // it was not sent
      throw error;
    }
  }

  /** From now on the claim is held for as long as this process runs, until it is finished, let go, freed or dropped. */
  hold(claim: Claim): void {
    this.#running.add(claim);
    this.#watch();
  }

  /** Says no more that the claim is held: whoever comes in some seconds may take it over. */
  drop(claim: Claim): void {
    this.#running.delete(claim);
  }

  /** Keeps the answer to be given again; false: another goes on with the claim. */
  async finish(claim: Claim, answer: StoredAnswer): Promise<boolean> {
    this.#running.delete(claim);
    const isLate = performance.now() - claim.since > Math.min(glance, claim.window / 2); // else it costs an entry of the index, for nothing
    const expiresAt = isLate && { expiresAt: this.#in(claim.window) };
    return this.#set(claim, { answer, until: this.#in(0), ...expiresAt });
  }

  /** Whoever comes next with the key may take the claim over, with what was charged for it. */
  async letGo(claim: Claim): Promise<void> {
    this.#running.delete(claim);
    claim.expiresAt = this.#endOf(claim);
    await this.#set(claim, { until: this.#in(0), expiresAt: claim.expiresAt });
    await this.#keepCharge(claim);
  }

  /** Nothing is charged for the claim any more: its key is free, unless a request holds it, whose answer may yet be kept. */
  async release(claim: Claim): Promise<void> {
    if (!this.#running.has(claim)) return this.free(claim);
    await this.#set(claim, { charge: null, refund: null, given: 0 });
    claim.charge = null;
  }

  /** Lets go of a claim after a failure: its key is free where nothing is charged for it any more that was. */
  async fail(claim: Claim): Promise<void> {
    const isFree = claim.refund !== null && claim.charge === null;
    await (isFree ? this.free(claim) : this.letGo(claim));
  }

  /** Makes the key free. */
  async free(claim: Claim): Promise<void> {
    this.#running.delete(claim);
    await this.#store.delete({ _id: claim.key, run: claim.run });
    claim.isHeld = false;
  }

  /** Makes the key free that somebody else had, and holds no more, as it was read. */
  clear({ _id, run, until }: ClaimRow): Promise<void> {
    return this.#store.delete({ _id, run, until });
  }

  /** Takes over a claim that nobody holds any more, as it was read; null: another was faster. */
  async takeOver({ _id: key, run, until, charge, given }: ClaimRow, anew: Claim): Promise<Claim | null> {
    const expiresAt = this.#endOf(anew);
    const claim: Claim = { ...anew, charge, given, refund: null, expiresAt, isHeld: true };
    const set = { run: claim.run, until: this.#in(lease), expiresAt, refund: null };
    const change = {
      key,
      q: { _id: key, run, until, given },
      set,
      isDone: (row: ClaimRow) => row.run === claim.run,
    };
    if (!(await this.#store.change(change))) return null;
    await this.#keepCharge(claim);
    return claim;
  }

  #rowOf(claim: Claim, until: Date): ClaimRow {
    const { key: _id, hash, run, charge } = claim;
    claim.expiresAt = this.#endOf(claim);
    const { expiresAt } = claim;
    return { _id, hash, run, until, expiresAt, charge, refund: null, given: 0, answer: null };
  }

  /** What was charged within another claim must not be had again once that one's answer is forgotten. */
  #endOf({ window, within }: Claim): Date {
    const end = this.#in(window);
    return within && within.expiresAt < end ? within.expiresAt : end;
  }

  #set(
    { key, run }: Claim,
    set: object,
    isDone: (row: ClaimRow) => boolean = () => true,
    more: object = {},
  ): Promise<boolean> {
    const isOurs = (row: ClaimRow) => row.run === run && isDone(row);
    return this.#store.change({ key, q: { _id: key, run, ...more }, set, isDone: isOurs });
  }

  /** The batch that tells of a charge lives on as long as the claim. */
  async #keepCharge({ charge, window }: Claim): Promise<void> {
    if (charge)
      await this.#store.changeBatch({ q: { _id: charge.b }, u: { $max: { expiresAt: this.#in(window) } } });
  }

  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    setTimeout(() => {
      this.#isWatching = false;
      for (const claim of this.#running) {
        void this.#renew(claim).catch(() => {}); // said again in a moment
        void this.#keepCharge(claim).catch(() => {});
      }
      if (this.#running.size > 0) this.#watch();
    }, glance).unref();
  }

  async #renew(claim: Claim): Promise<void> {
    const expiresAt = this.#endOf(claim);
    if (await this.#set(claim, { until: this.#in(lease), expiresAt })) claim.expiresAt = expiresAt;
  }

  #in(milliseconds: number): Date {
    return new Date(databaseClock(this.#connection).now().getTime() + milliseconds);
  }
}

/** A process id is fresh at every start, so no batch ever has the name of another. */
export const idOf = ({ slot, sequence }: Pick<Batch, 'slot' | 'sequence'>): string => `${slot}.${sequence}`;

const partsOf = (parts: readonly ClaimedPart[]): BatchRow['parts'] =>
  parts.map(({ amount, from = null }, i) => ({ i, amount, from }));

const at = (position: Position | null, { b, i }: Position): boolean => position?.b === b && position.i === i;

export const claimBook = perConnection((connection) => new ClaimBook(connection));
