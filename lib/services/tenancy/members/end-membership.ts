import { Memberships } from '../../../models/membership.js';
import { Organizations } from '../../../models/organization.js';
import { changed } from '../../../models/revocation.js';
import { endApiKeys } from '../../api-keys/end-api-keys.js';
import { giveUpOwnership } from '../give-up-ownership.js';
import type { Acting } from '../in-organization.js';
import type { FoundMembership } from './as-member.js';

/**
 * Ends a membership, in the transaction of `acting`: the seat is free, and the member's API keys for this organization are deleted, also one that is
 * being made, so that none comes back to life should they join again.
 *
 * @throws {TollgateError} `last_owner` (409)
 */
export async function endMembership(
  acting: Acting,
  membership: FoundMembership,
  action: 'organization.member.removed' | 'organization.member.left',
): Promise<void> {
  const { connection, session, organization } = acting;
  const { _id, user, role } = membership;
  if (role === 'owner') await giveUpOwnership(connection, session, membership);
  await Memberships(connection).deleteOne({ _id }, { session });
  await Organizations(connection).unseat(organization, session);
  await endApiKeys(connection, session, { ...acting.by, organization, users: [user] });
  await changed(connection, session, `user:${user}`);
  await acting.record(action, { type: 'user', id: String(user) }, { role });
}
