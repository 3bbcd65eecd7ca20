import type { StoredReservation } from '../../models/reservation.js';
import type { QuotaState } from '../plans/quota-state.js';

/** Units that are held, and where the subject stands without them. `taken` is what is held. */
export interface Reservation extends QuotaState {
  readonly id: string;
  /** When they go back unless they are committed before. */
  readonly expiresAt: Date;
}

/** A hold that is over, and where the subject stands. `taken` is what was paid for. */
export interface Committed extends QuotaState {
  /** Units that were used and could not be paid for: more than was held, and than there was. */
  readonly unmet: number;
}

export const asReservation = ({ _id, expiresAt }: StoredReservation, state: QuotaState): Reservation =>
  Object.freeze({ ...state, id: String(_id), expiresAt });
