import Joi from 'joi';
import { Organizations } from '../../models/organization.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { type Act, actFields, inOrganization } from './in-organization.js';

export interface Seats extends Act {
  /** How many members and open invitations there may be; null: any number. */
  seats: number | null;
}

const own = { ...actFields, seats: Joi.number().integer().min(0).max(1_000_000_000).required().allow(null) };

/**
 * Says how many seats an organization has. With fewer than it has members it keeps them: inviting and accepting are refused until there is room
 * again.
 *
 * @throws {TollgateError} `not_found` (404); `overloaded`, `database_unavailable` (503)
 * @example await setSeats({ organizationId: acme.id, seats: 10 });
 */
export async function setSeats(input: Seats & SharedOptions): Promise<void> {
  const given = readOptions<Seats>('setSeats', input, own);
  const { seats } = given;
  await inOrganization(given, async (acting) => {
    const { connection, session, organization: _id } = acting;
    await Organizations(connection).updateOne({ _id }, { $set: { seats } }, { session });
    await acting.record('organization.seats-set', { type: 'organization', id: String(_id) }, { seats });
  });
}
