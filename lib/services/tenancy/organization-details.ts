import type { Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { Organizations, type StoredOrganization } from '../../models/organization.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';

/** What is set and counted of an organization, whoever asks. */
export interface OrganizationDetails {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  /** The team that every new member joins; null: none. */
  readonly defaultTeamId: string | null;
  /** How many members and open invitations there may be; null: any number. */
  readonly seats: number | null;
  readonly members: number;
  readonly createdAt: Date;
}

/**
 * An organization as the database has it now.
 *
 * @throws {TollgateError} `not_found` (404), also for a malformed id; `database_unavailable` (503)
 * @example const { seats, members } = await organizationDetails({ organizationId: acme.id });
 */
export async function organizationDetails({
  organizationId,
  ...rest
}: {
  readonly organizationId: string;
  readonly connection?: Connection | undefined;
}): Promise<OrganizationDetails> {
  const connection = opened(rest.connection);
  const _id = objectId(organizationId);
  const found = await database(() => Organizations(connection).findById(_id, { open: 0 }).lean());
  if (!found) throw refuse('not_found');
  return asDetails(found);
}

export function asDetails(
  stored: Omit<StoredOrganization, 'open'> & { _id: Types.ObjectId },
): OrganizationDetails {
  const { _id, name, slug, defaultTeam, seats, members, createdAt } = stored;
  return Object.freeze({
    id: String(_id),
    name,
    slug,
    defaultTeamId: defaultTeam ? String(defaultTeam) : null,
    seats: seats ?? null,
    members,
    createdAt: createdAt ?? _id.getTimestamp(),
  });
}
