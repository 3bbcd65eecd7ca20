import type { ClientSession, Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { Organizations } from '../../models/organization.js';
import { Roles } from '../../models/role.js';
import { Users } from '../../models/user.js';
import type { RoleNames } from '../../runtime/options.js';

type Owner = {
  readonly organization: Types.ObjectId;
  /** True of one who is deactivated, and so not among those that are counted. */
  readonly suspended?: boolean | null | undefined;
};

/**
 * Takes an owner who goes out of the count of an organization's owners, in the transaction of `session`. The counter decides, in one conditional
 * write: two owners who go at the same time cannot both be the last but one. With `alone` the last one may go where nobody else is a member.
 *
 * @throws {TollgateError} `last_owner` (409, extra `organizationId`)
 */
export async function giveUpOwnership(
  connection: Connection,
  session: ClientSession,
  { organization, suspended }: Owner,
  { alone = false } = {},
): Promise<void> {
  const organizations = Organizations(connection);
  const { modifiedCount } = suspended
    ? await organizations.loseSuspended(organization, session)
    : await organizations.loseOwner(organization, session, { alone });
  if (modifiedCount > 0) return;
  const there = await organizations.exists({ _id: organization }).session(session);
  if (there) throw refuse('last_owner', { organizationId: String(organization) }); // else it has just been deleted
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
