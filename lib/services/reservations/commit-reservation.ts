import Joi from 'joi';
import type { Connection } from 'mongoose';
import { isTollgateError } from '../../errors.js';
import type { StoredReservation } from '../../models/reservation.js';
import type { Terms } from '../../quota/batch.js';
import { counterNow } from '../../quota/counter-now.js';
import { keyOf, settleHold } from '../../quota/settle-holds.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import type { Subject } from '../../runtime/subject.js';
import { units } from '../plans/features.js';
import { costOf, meteringOf } from '../plans/metering.js';
import { quotaState } from '../plans/quota-state.js';
import type { Committed } from './as-reservation.js';
import { isSettled, reservationOf } from './reservation-of.js';

export interface CommitReservation {
  /** Of the reservation. */
  id: string;
  /** Units that were used, an integer from 0 to 2^53 − 1. Default: all that is held. */
  amount?: number | undefined;
}

const own = { id: Joi.string().required(), amount: units };

/**
 * Says how many of the units of a reservation were used. The others go back in the same transaction, to the period that they were taken
 * from, or nowhere when that is over. More than were held are taken of what remains now; what is not there is `unmet`.
 *
 * Repeating it with the same amount answers alike, for a day; so may whoever has had no answer.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404), also a day after it was settled; `conflict` (409, extra `state`) when it was released, has
 *   expired, or was committed with another amount; `overloaded`, `database_unavailable` (503)
 * @example const { remaining, unmet } = await commitReservation({ id, amount: 640 });
 */
export async function commitReservation(input: CommitReservation & SharedOptions): Promise<Committed> {
  const given = readOptions<CommitReservation>('commitReservation', input, own);
  const connection = opened(given.connection);
  const hold = await reservationOf(connection, given.id);
  const asked = given.amount ?? hold.amount;
  if (hold.state === 'held') {
    const terms = asked > hold.amount ? await termsOf(connection, hold, asked) : undefined;
    await settleHold(connection, { hold, to: 'committed', asked, terms });
  }
  const settled = await reservationOf(connection, given.id);
  if (settled.state === 'held') throw isSettled({ state: 'expired' }); // nobody has given it back yet
  if (settled.state !== 'committed' || settled.asked !== asked) throw isSettled(settled);
  return committed(connection, settled);
}

/** What the plan says by now; undefined where it does not have the feature any more. */
async function termsOf(
  connection: Connection,
  { subject, feature, price }: StoredReservation,
  asked: number,
): Promise<Terms | undefined> {
  try {
    const metering = await meteringOf(connection, { subject: subject as Subject, feature });
    costOf(asked, { ...metering, price });
    return metering.terms;
  } catch (error) {
    if (isTollgateError(error, 'entitlement_missing') || isTollgateError(error, 'internal')) return undefined;
    throw error;
  }
}

async function committed(connection: Connection, settled: StoredReservation): Promise<Committed> {
  const { asked, used, price, terms } = settled as {
    asked: number;
    used: number;
    price: number;
    terms: Terms;
  };
  const key = keyOf(settled);
  const counter = await counterNow(connection, { key, terms });
  const remaining = counter.own === null ? null : Math.max(0, counter.own - counter.used);
  const state = quotaState(key.f, used * price, { ...counter, limit: counter.lim, granted: true, remaining });
  return Object.freeze({ ...state, unmet: asked - used });
}
