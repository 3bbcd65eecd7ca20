import Joi from 'joi';
import { type Origin, originFields } from '../../../audit/record-audit.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { inOrganization } from '../in-organization.js';
import { endMembership } from './end-membership.js';
import { findMember } from './find-member.js';

export interface LeaveOrganization extends Origin {
  organizationId: string;
  userId: string;
}

const own = { organizationId: Joi.string().required(), userId: Joi.string().required(), ...originFields };

/**
 * Ends the membership of who wants to leave.
 *
 * @throws {TollgateError} `not_found` (404) for who is no member; `last_owner` (409); `overloaded`, `database_unavailable` (503)
 * @example await leaveOrganization({ organizationId: acme.id, userId: user.id });
 */
export async function leaveOrganization(input: LeaveOrganization & SharedOptions): Promise<void> {
  const given = readOptions<LeaveOrganization>('leaveOrganization', input, own);
  await inOrganization({ ...given, actor: given.userId }, async (acting) => {
    await endMembership(acting, await findMember(acting, given.userId), 'organization.member.left');
  });
}
