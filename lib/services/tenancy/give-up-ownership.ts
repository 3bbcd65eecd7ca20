import type { ClientSession, Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { Memberships } from '../../models/membership.js';
import { Organizations } from '../../models/organization.js';
import { Roles } from '../../models/role.js';
import { Users } from '../../models/user.js';
import type { RoleNames } from '../../runtime/options.js';

/**
 * Takes an owner who is about to be deactivated or erased out of the count of each organization's owners, in the transaction of `session`. The counter
 * decides, in one conditional write for each: two owners who go at the same time cannot both be the last but one.
 *
 * @throws {TollgateError} `last_owner` (409, extra `organizationId`)
 */
export async function giveUpOwnership(
  connection: Connection,
  session: ClientSession,
  user: Types.ObjectId,
): Promise<void> {
  const owned = { user, role: 'owner', suspended: { $ne: true } };
  for (const { _id, organization } of await Memberships(connection).find(owned, null, { session }).lean()) {
    await Memberships(connection).updateOne({ ...owned, _id }, { $set: { suspended: true } }, { session });
    const { modifiedCount } = await Organizations(connection).loseOwner(organization, session);
    if (modifiedCount > 0) continue;
    const there = await Organizations(connection).exists({ _id: organization }).session(session);
    if (there) throw refuse('last_owner', { organizationId: String(organization) }); // else it has just been deleted
  }
}

/**
 * Makes sure that an administrator remains when one goes, in the transaction of `session`. Every such transaction writes to the role, so that of two at the
 * same time one has to run again and then sees what the other did.
 *
 * @throws {TollgateError} `last_admin` (409)
 */
export async function keepAnAdmin(
  connection: Connection,
  session: ClientSession,
  { _id, roles }: { readonly _id: Types.ObjectId; readonly roles: readonly string[] },
  { admin }: RoleNames,
): Promise<void> {
  if (!roles.includes(admin)) return;
  const role = { organization: null, name: admin };
  const departure = { $inc: { departures: 1 }, $setOnInsert: { permissions: ['admin.*'] } };
  await Roles(connection).updateOne(role, departure, { session, upsert: true });
  const other = { roles: admin, status: { $ne: 'inactive' as const }, _id: { $ne: _id } };
  if (!(await Users(connection).exists(other).session(session))) throw refuse('last_admin');
}
