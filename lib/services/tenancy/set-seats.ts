import Joi from 'joi';
import { type Origin, originFields } from '../../audit/record-audit.js';
import { Organizations } from '../../models/organization.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { inOrganization } from './in-organization.js';

export interface Seats extends Origin {
  organizationId: string;
  /** How many members and open invitations there may be; null: any number. */
  seats: number | null;
  /** The id of the user who does it, for the audit log alone: the caller decides who may. Default: the application. */
  actor?: string | undefined;
}

const own = {
  organizationId: Joi.string().required(),
  seats: Joi.number().integer().min(0).max(1_000_000_000).required().allow(null),
  actor: Joi.string(),
  ...originFields,
};

/**
 * Says how many seats an organization has. With fewer than it has members it keeps them: inviting and accepting are refused until there is room
 * again. Seats are what somebody pays for, so nobody's rights in the organization decide who may: the caller does.
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
