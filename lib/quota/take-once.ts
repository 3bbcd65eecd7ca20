import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import type { StoredAnswer } from '../models/claim.js';
import { type Claim, claimBook } from './claim-book.js';
import { claimStore, type JudgedRow } from './claim-store.js';
import { take } from './combiner.js';
import { databaseClock } from './database-clock.js';
import type { Demand } from './group-commit.js';
import { anyTerms, type Charge, type Fortune, positionIn, settlePosition } from './settle-batch.js';
import { ClaimTaken, type Take, type Taken } from './taken.js';

/** What is charged for a key, and the claim that it hangs on. */
export interface Charged {
  readonly taken: Taken;
  /** What was asked for, by whoever was charged: since then a price may have changed, or whatever tells the amount. */
  readonly demand: Demand;
  readonly claim: Claim;
}

interface Answered {
  readonly answer: StoredAnswer;
}

/**
 * Takes units of a quota once for a key, as `take` does. Whoever comes later with the key gets the answer that was kept; where there is
 * none, since the first one has failed or its process died, they go on with what was charged then; where a part of that was given back, it is
 * charged anew, and the rest goes back, too.
 *
 * @throws {TollgateError} `idempotency_mismatch` (422), `idempotency_in_progress` (409), `overloaded`, `database_unavailable` (503)
 */
export async function takeOnce(
  connection: Connection,
  request: Take,
  claim: Claim,
): Promise<Charged | Answered> {
  return again(async () => {
    const taken = await tryTake(connection, request, claim);
    if (taken) return { taken, demand: request, claim };
    const row = await standing(connection, claim);
    if (row?.answer) return { answer: row.answer };
    const met = row && charged(request, await handedOn(connection, row, claim));
    return met && (met.claim.given > 0 ? returned(connection, met) : met);
  });
}

/** Gives back what is left of a charge: then the key is free. */
async function returned(
  connection: Connection,
  { taken: { from }, demand, claim }: Charged,
): Promise<undefined> {
  await tryTake(connection, { ...demand, amount: claim.given - demand.amount, from }, claim);
}

/** The same for callers without an answer: everybody gets the charge itself, as soon as it is known. */
export async function resultOnce(connection: Connection, request: Take, claim: Claim): Promise<Charged> {
  return again(async () => {
    const taken = await tryTake(connection, request, claim);
    if (taken) return { taken, demand: request, claim };
    const row = await standing(connection, claim, true);
    return row && charged(request, await resultOf(connection, row, claim));
  });
}

/**
 * Claims a key for a request that nothing is charged for: null when it is the first, or goes on for one that has failed or whose process died; else the
 * answer that was given.
 *
 * @throws {TollgateError} as `takeOnce`
 */
export async function openOnce(
  connection: Connection,
  claim: Claim,
): Promise<{ readonly claim: Claim } | Answered> {
  const clock = databaseClock(connection);
  if (clock.isMute) await clock.ask();
  return again(async () => {
    if (await claimBook(connection).open(claim)) return { claim };
    const row = await standing(connection, claim);
    if (row?.answer) return { answer: row.answer };
    return row && { claim: await takenOver(connection, row, claim) };
  });
}

/** The answer that was kept for a claim's key, whatever would be charged for it by now. */
export async function answerOnce(connection: Connection, claim: Claim): Promise<StoredAnswer | undefined> {
  const row = await standing(connection, claim);
  return row?.answer ?? undefined;
}

/** A key that somebody had may be free by now. */
async function again<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let count = 0; count < 3; count += 1) {
    const met = await attempt();
    if (met !== undefined) return met;
  }
  throw refuse('idempotency_in_progress'); // others were always faster
}

/** Takes what is not charged yet; undefined: somebody has the key. */
async function tryTake(connection: Connection, request: Take, claim: Claim): Promise<Taken | undefined> {
  try {
    return await take(connection, { ...request, claim });
  } catch (error) {
    if (error instanceof ClaimTaken) return undefined;
    throw error;
  }
}

/** The claim of somebody who had the key before; undefined: there is none any more. */
async function standing(
  connection: Connection,
  { key, hash }: Claim,
  isResult = false,
): Promise<JudgedRow | undefined> {
  const row = await claimStore(connection).read(key);
  if (row?.isExpired && (row.isLetGo || (isResult && (await noted(connection, row)) !== undefined)))
    return freed(connection, row);
  if (row && row.hash !== hash) throw refuse('idempotency_mismatch');
  return row;
}

async function freed(connection: Connection, row: JudgedRow): Promise<undefined> {
  await claimBook(connection).clear(row);
}

interface Handed {
  readonly charge: Charge;
  readonly claim: Claim;
}

function charged({ key, terms }: Demand, handed: Handed | undefined): Charged | undefined {
  if (!handed) return undefined;
  const { charge, claim } = handed;
  const { amount, feature: f } = charge;
  const demand = { key: { s: key.s, f }, terms: f === key.f ? terms : anyTerms, amount };
  return { taken: charge, demand, claim };
}

/** The charge of a claim, which is its result, as soon as it is known. */
async function resultOf(connection: Connection, row: JudgedRow, claim: Claim): Promise<Handed | undefined> {
  const known = row.refund ? undefined : await noted(connection, row);
  if (known === undefined) return handedOn(connection, row, claim);
  if (isCounted(known)) {
    const { run, charge, given } = row;
    return { charge: known, claim: { ...claim, run, charge, given, isHeld: true } };
  }
  return freed(connection, row);
}

async function noted(connection: Connection, { charge }: JudgedRow): Promise<Fortune | undefined> {
  const batch = charge && (await claimStore(connection).readBatch(charge.b));
  return batch ? positionIn(batch, charge.i) : undefined;
}

/** Takes over a claim that nobody holds any more, with its charge; where nothing is charged the key is free. */
async function handedOn(connection: Connection, row: JudgedRow, claim: Claim): Promise<Handed | undefined> {
  if (!row.isLetGo) throw refuse('idempotency_in_progress');
  const charge = await chargeOf(connection, row);
  if (charge === 'none') return freed(connection, row);
  return { charge, claim: await takenOver(connection, row, claim) };
}

async function takenOver(connection: Connection, row: JudgedRow, claim: Claim): Promise<Claim> {
  const own = row.isLetGo && (await claimBook(connection).takeOver(row, claim));
  if (!own) throw refuse('idempotency_in_progress');
  return own;
}

/**
 * What is charged for a claim. What nobody can tell any more counts as not charged: then it is charged anew, so that never too much is
 * granted.
 */
async function chargeOf(connection: Connection, row: JudgedRow): Promise<Charge | 'none'> {
  const { s: subject } = row._id;
  if (!row.charge) return 'none';
  if (row.refund && (await settlePosition(connection, row.refund, subject)) !== 'none') return 'none';
  const charge = await settlePosition(connection, row.charge, subject);
  return isCounted(charge) ? charge : 'none';
}

const isCounted = (fortune: Fortune): fortune is Charge => typeof fortune === 'object' && fortune.granted;
