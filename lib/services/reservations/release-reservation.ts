import Joi from 'joi';
import { settleHold } from '../../quota/settle-holds.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { isSettled, reservationOf } from './reservation-of.js';

export interface ReleaseReservation {
  /** Of the reservation. */
  id: string;
}

const own = { id: Joi.string().required() };

/**
 * Gives back all that a reservation holds, once: to the period that it was taken from, or nowhere when that is over. Repeating it,
 * also when it has expired, does nothing.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404), also a day after it was settled; `conflict` (409, extra `state`) when it was committed;
 *   `overloaded`, `database_unavailable` (503)
 * @example await releaseReservation({ id });
 */
export async function releaseReservation(input: ReleaseReservation & SharedOptions): Promise<void> {
  const given = readOptions<ReleaseReservation>('releaseReservation', input, own);
  const connection = opened(given.connection);
  const hold = await reservationOf(connection, given.id);
  if (hold.state === 'held' && (await settleHold(connection, { hold, to: 'released', asked: 0 }))) return;
  const settled = hold.state === 'held' ? await reservationOf(connection, given.id) : hold;
  if (settled.state === 'committed') throw isSettled(settled);
}
