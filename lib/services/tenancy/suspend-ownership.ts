import type { ClientSession, Connection, Types } from 'mongoose';
import { type Origin, recordAll } from '../../audit/record-audit.js';
import { Memberships } from '../../models/membership.js';
import { giveUpOwnership } from './give-up-ownership.js';

/** The id of who does it, and from where, for the audit log. */
export interface OwnershipChange extends Origin {
  readonly actor: string | undefined;
}

/**
 * Takes an owner who is about to be deactivated out of the count of each organization's owners, in the transaction of `session`; the audit log of each
 * says so. With `alone` they may be the last one where nobody else is a member.
 *
 * @throws {TollgateError} `last_owner` (409, extra `organizationId`)
 */
export async function suspendOwnership(
  connection: Connection,
  session: ClientSession,
  user: Types.ObjectId,
  { alone, ...by }: OwnershipChange & { readonly alone: boolean },
): Promise<void> {
  const owned = { user, role: 'owner', suspended: { $ne: true } };
  const memberships = await Memberships(connection).find(owned, null, { session }).lean();
  for (const membership of memberships) {
    const { _id } = membership;
    await Memberships(connection).updateOne({ ...owned, _id }, { $set: { suspended: true } }, { session });
    await giveUpOwnership(connection, session, membership, { alone });
  }
  await recordOwners(connection, session, 'organization.owner.suspended', memberships, by);
}

/** Writes the same act of an owner into the audit log of each organization. */
export function recordOwners(
  connection: Connection,
  session: ClientSession,
  action: 'organization.owner.suspended' | 'organization.owner.restored',
  memberships: readonly { readonly user: Types.ObjectId; readonly organization: Types.ObjectId }[],
  by: OwnershipChange,
): Promise<void> {
  const entries = memberships.map(({ user, organization }) => {
    return { ...by, action, target: { type: 'user', id: String(user) }, organization };
  });
  return recordAll({ connection, session }, entries);
}
