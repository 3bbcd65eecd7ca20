import Joi from 'joi';
import type { Connection } from 'mongoose';
import { isTollgateError } from '../../errors.js';
import { readSubject } from '../../models/read-subject.js';
import { type NewReservation, Reservations, type StoredReservation } from '../../models/reservation.js';
import type { Take, Taken } from '../../quota/taken.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { type Subject, subjectSchema } from '../../runtime/subject.js';
import { demandOf, exceeded } from '../plans/demand-of.js';
import { quotaState } from '../plans/quota-state.js';
import { take } from '../plans/take.js';
import { asReservation, type Reservation } from './as-reservation.js';

export interface ReserveQuota {
  subject: Subject;
  feature: string;
  /** Units, a positive integer up to 2^53 − 1: as many as may be used. */
  amount: number;
  /** Seconds after which the units go back by themselves, a day at most. Default 300. */
  expiresIn?: number | undefined;
}

const own = {
  subject: subjectSchema.required(),
  feature: Joi.string().required(),
  amount: Joi.any(),
  expiresIn: Joi.number().integer().min(1).max(86_400).default(300),
};

/**
 * Holds `amount` units of a subject's allowance, all of them or nothing, for work whose cost is known only when it is done, such as
 * the tokens of an answer that a model streams. They count as used until `commitReservation` says how many were, or `releaseReservation`
 * that none was; else they go back when the hold expires. Exact under any concurrency, as `consumeQuota` is.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `quota_exceeded` (429), `entitlement_missing` (403) and what else `consumeQuota` refuses with
 * @example const { id } = await reserveQuota({ subject, feature: 'tokens', amount: 1000 });
 */
export async function reserveQuota(input: ReserveQuota & SharedOptions): Promise<Reservation> {
  const given = readOptions<ReserveQuota & { expiresIn: number }>('reserveQuota', input, own);
  const { feature, amount, expiresIn, strict } = given;
  const connection = opened(given.connection);
  const subject = readSubject(connection, given.subject);
  const demand = await demandOf(connection, { subject, feature, amount, strict });
  const taken = await take(connection, demand);
  const state = quotaState(demand.key.f, demand.amount, taken);
  if (!taken.granted) throw await exceeded(connection, demand, state);
  const { key, terms } = demand;
  const price = demand.amount / amount;
  const hold = { subject, feature, counter: key.f, amount, price, from: taken.from, terms, expiresIn };
  return asReservation(await store(connection, hold, demand, taken), state);
}

/** A hold that is known not to be stored gives back what it took; where that is not known, too few are granted rather than too many. */
async function store(
  connection: Connection,
  hold: NewReservation,
  demand: Take,
  { from }: Taken,
): Promise<StoredReservation> {
  try {
    return (await database(() => Reservations(connection).hold(hold))) as StoredReservation;
  } catch (error) {
    if (!isTollgateError(error)) await take(connection, { ...demand, amount: -demand.amount, from });
    throw error;
  }
}
