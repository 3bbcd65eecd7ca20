import type { ClientSession, Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { Memberships, type StoredMembership } from '../../models/membership.js';
import { Organizations, type StoredOrganization } from '../../models/organization.js';
import { readUserId } from '../../models/user-id.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import { objectId } from '../../runtime/ids.js';
import type { Strictness } from '../../runtime/snapshot.js';
import type { Membership } from './as-organization.js';

/** A membership and its organization, as one command reads them. */
export type Joined = StoredMembership & {
  _id: Types.ObjectId;
  organization: StoredOrganization & { _id: Types.ObjectId };
};

/** A membership with its organization. Frozen: several requests share it. */
export interface Belonging {
  readonly organization: { readonly id: string; readonly name: string; readonly slug: string };
  readonly membership: Membership;
}

export const memberships = freshCache<Belonging>(50_000);
export const onlyOnes = freshCache<{ readonly ids: readonly string[] }>(50_000);

/**
 * A user's membership in an organization, remembered until either changes.
 *
 * @throws {TollgateError} `not_found` (404) when the user is not a member, or there is no such organization: the two
 *   look the same. `database_unavailable` (503)
 */
export function membershipOf(
  connection: Connection,
  { userId, organizationId, strict }: { userId: string; organizationId: string; strict: Strictness },
): Belonging | Promise<Belonging> {
  const key = membershipKey(userId, organizationId);
  const known = memberships(connection).known(key, strict);
  if (known) return known;
  const subjects = [`user:${userId}`, `organization:${organizationId}`];
  const load = async () => {
    const [user, organization] = [readUserId(connection, userId), objectId(organizationId)];
    if (!user || !organization) throw refuse('not_found');
    return asBelonging(await readMembership(connection, { user, organization }));
  };
  return memberships(connection).get(key, subjects, load, strict);
}

/**
 * A membership in an organization that is there, as the database has it now, or as the transaction of `session` sees it.
 *
 * @throws {TollgateError} `not_found` (404)
 */
export async function readMembership(
  connection: Connection,
  which: { readonly user: Types.ObjectId; readonly organization: Types.ObjectId },
  session: ClientSession | null = null,
): Promise<Joined> {
  const [found] = await Memberships(connection)
    .aggregate<Joined>(joined(connection, which, 1))
    .session(session);
  if (!found) throw refuse('not_found');
  return found;
}

/** Under what they are remembered. The length says where one id ends: whoever asks may have written the other. */
export const membershipKey = (userId: string, organizationId: string): string =>
  `${userId.length} ${userId} ${organizationId}`;

/** The ids of a user's organizations, two at most: enough to tell whether there is just one. */
export async function organizationsOf(
  connection: Connection,
  { userId, strict }: { userId: string; strict: Strictness },
): Promise<readonly string[]> {
  const load = async () => {
    const user = readUserId(connection, userId);
    const found = user
      ? await Memberships(connection).aggregate<Joined>(joined(connection, { user }, 2))
      : [];
    return { ids: Object.freeze(found.map(({ organization }) => String(organization._id))) };
  };
  const subjects = ({ ids }: { readonly ids: readonly string[] }) => [
    `user:${userId}`,
    ...ids.map((id) => `organization:${id}`),
  ];
  const { ids } = await onlyOnes(connection).get(userId, subjects, load, strict);
  return ids;
}

/** Memberships with their organizations; one that was deleted has none any more, though a membership may still be there. */
export const joined = (connection: Connection, which: object, limit: number) => [
  { $match: which },
  {
    $lookup: {
      from: Organizations(connection).collection.name,
      localField: 'organization',
      foreignField: '_id',
      pipeline: [{ $project: { name: 1, slug: 1 } }],
      as: 'organization',
    },
  },
  { $unwind: '$organization' },
  { $limit: limit },
];

export function asBelonging({ organization, role, teams, currentTeam }: Joined): Belonging {
  const { _id, name, slug } = organization;
  const teamIds = Object.freeze(teams.map(String));
  const membership = { role, teamIds, currentTeamId: currentTeam ? String(currentTeam) : null };
  return Object.freeze({
    organization: Object.freeze({ id: String(_id), name, slug }),
    membership: Object.freeze(membership),
  });
}
