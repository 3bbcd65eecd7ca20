import Joi from 'joi';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { permissionsOfRole, requireRights } from '../require-rights.js';
import { endMembership } from './end-membership.js';
import { findMember } from './find-member.js';

export interface RemoveMember extends Act {
  userId: string;
}

const own = { ...actFields, userId: Joi.string().required() };

/**
 * Removes a member from an organization. They are refused on the next request in this process and in strict mode, within a moment in the
 * others; their API keys for this organization are deleted.
 *
 * @throws {TollgateError} `not_found` (404) for who is no member; `last_owner` (409); `permission_missing` (403) when `actor` lacks what the
 *   member's role holds; `overloaded`, `database_unavailable` (503)
 * @example await removeMember({ organizationId: acme.id, userId: user.id, actor: owner.id });
 */
export async function removeMember(input: RemoveMember & SharedOptions): Promise<void> {
  const given = readOptions<RemoveMember>('removeMember', input, own);
  await inOrganization(given, async (acting) => {
    const membership = await findMember(acting, given.userId);
    const held = await permissionsOfRole(acting, membership.role);
    await requireRights(acting, ['organization.members.manage'], held);
    await endMembership(acting, membership, 'organization.member.removed');
  });
}
