import type { ClientSession, Connection, Types } from 'mongoose';
import { Memberships } from '../../models/membership.js';
import { Organizations } from '../../models/organization.js';

/** Counts an owner who is active again among the owners of each organization, in the transaction of `session`: the opposite of `giveUpOwnership()`. */
export async function restoreOwnership(
  connection: Connection,
  session: ClientSession,
  user: Types.ObjectId,
): Promise<void> {
  const suspended = { user, suspended: true };
  for (const { _id, organization, role } of await Memberships(connection)
    .find(suspended, null, { session })
    .lean()) {
    await Memberships(connection).updateOne({ ...suspended, _id }, { $unset: { suspended: 1 } }, { session });
    if (role === 'owner')
      await Organizations(connection).updateOne({ _id: organization }, { $inc: { owners: 1 } }, { session });
  }
}
