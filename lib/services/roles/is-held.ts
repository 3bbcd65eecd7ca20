import type { ClientSession, Connection } from 'mongoose';
import { Memberships } from '../../models/membership.js';
import type { RoleKey } from '../../models/role.js';
import { Users } from '../../models/user.js';

/** Whether anybody has a role, in the transaction of `session` that has deleted it: see `holdRole()`. */
export async function isHeld(
  connection: Connection,
  session: ClientSession,
  { organization, name }: RoleKey,
): Promise<boolean> {
  const holder = organization
    ? await Memberships(connection).exists({ organization, role: name }).session(session)
    : await Users(connection).exists({ roles: name }).session(session);
  return holder !== null;
}
