import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Reservations, type StoredReservation } from '../../models/reservation.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';

/** A reservation by its id, whatever its state; throws `not_found` (404) where there is none, or was none for a day. */
export async function reservationOf(connection: Connection, id: string): Promise<StoredReservation> {
  const _id = objectId(id);
  const stored = _id && (await database(() => Reservations(connection).findById(_id).lean()));
  if (!stored || String(stored._id) !== id) throw refuse('not_found');
  return stored as StoredReservation;
}

/** The refusal of what a hold that is settled, or expired, does not allow any more. */
export const isSettled = ({ state }: Pick<StoredReservation, 'state'>) =>
  refuse('conflict', { detail: `The reservation is ${state} already`, state });
