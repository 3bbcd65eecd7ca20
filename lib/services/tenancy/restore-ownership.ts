import type { ClientSession, Connection, Types } from 'mongoose';
import { Memberships } from '../../models/membership.js';
import { Organizations } from '../../models/organization.js';
import { type OwnershipChange, recordOwners } from './suspend-ownership.js';

/** Counts an owner who is active again among the owners of each organization, in the transaction of `session`: the opposite of `suspendOwnership()`. */
export async function restoreOwnership(
  connection: Connection,
  session: ClientSession,
  user: Types.ObjectId,
  by: OwnershipChange,
): Promise<void> {
  const suspended = { user, suspended: true };
  const memberships = await Memberships(connection).find(suspended, null, { session }).lean();
  const owned = memberships.filter(({ role }) => role === 'owner');
  for (const { _id } of memberships)
    await Memberships(connection).updateOne({ ...suspended, _id }, { $unset: { suspended: 1 } }, { session });
  for (const { organization } of owned) await Organizations(connection).gainOwner(organization, session);
  await recordOwners(connection, session, 'organization.owner.restored', owned, by);
}
