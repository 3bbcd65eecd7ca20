import { refuse } from '../../../errors.js';
import { Memberships } from '../../../models/membership.js';
import { Organizations } from '../../../models/organization.js';
import { changed } from '../../../models/revocation.js';
import { Users } from '../../../models/user.js';
import { giveUpOwnership } from '../give-up-ownership.js';
import type { Acting } from '../in-organization.js';
import type { FoundMembership } from './as-member.js';

/**
 * Gives a member another role, in the transaction of `acting`. The organization's counter decides whether an owner may go, in one conditional
 * write: of two who go at once, one writes after the other.
 *
 * @throws {TollgateError} `last_owner` (409)
 */
export async function changeRole(acting: Acting, membership: FoundMembership, role: string): Promise<void> {
  const { connection, session } = acting;
  const { _id, user, role: previous } = membership;
  if (previous === role) return;
  if (previous === 'owner') await giveUpOwnership(connection, session, membership);
  const suspended = role === 'owner' && !(await gain(acting, membership));
  const update = suspended ? { $set: { role, suspended } } : { $set: { role }, $unset: { suspended: 1 } };
  await Memberships(connection).updateOne({ _id }, update, { session });
  await changed(connection, session, `user:${user}`);
  const target = { type: 'user', id: String(user) };
  await acting.record('organization.member.role-changed', target, { from: previous, to: role });
}

/** Counts an owner in, unless they are deactivated. The write to the user makes it conflict with a deactivation at the same time. */
async function gain(
  { connection, session, organization }: Acting,
  { user }: FoundMembership,
): Promise<boolean> {
  const found = await Users(connection).noteJoin(user, {}, session);
  if (!found) throw refuse('not_found');
  if (found.status === 'inactive') return false;
  await Organizations(connection).gainOwner(organization, session);
  return true;
}
