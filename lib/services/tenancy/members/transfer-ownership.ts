import Joi from 'joi';
import { type Origin, originFields } from '../../../audit/record-audit.js';
import { refuse } from '../../../errors.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { inOrganization } from '../in-organization.js';
import type { Member } from './as-member.js';
import { changeRole } from './change-role.js';
import { findMember, shownMember } from './find-member.js';

export interface OwnershipTransfer extends Origin {
  organizationId: string;
  /** The id of the owner who gives it away, and becomes an admin. */
  from: string;
  /** The id of the member who becomes an owner. */
  to: string;
}

const own = {
  organizationId: Joi.string().required(),
  from: Joi.string().required(),
  to: Joi.string().required(),
  ...originFields,
};

/**
 * Hands an owner's role to another member, and makes the owner an admin: both or neither.
 *
 * @returns the new owner
 * @throws {TollgateError} `role_missing` (403) when `from` is no owner; `not_found` (404) when `to` is no member; `last_owner` (409) when that
 *   would leave deactivated owners only; `conflict` (409) when both are the same; `overloaded`, `database_unavailable` (503)
 * @example await transferOwnership({ organizationId: acme.id, from: owner.id, to: user.id });
 */
export async function transferOwnership(input: OwnershipTransfer & SharedOptions): Promise<Member> {
  const given = readOptions<OwnershipTransfer>('transferOwnership', input, own);
  const { from, to } = given;
  return inOrganization({ ...given, actor: from }, async (acting) => {
    const owner = await findMember(acting, from);
    if (owner.role !== 'owner') throw refuse('role_missing', { requiredRoles: ['owner'] });
    const heir = await findMember(acting, to);
    if (owner._id.equals(heir._id)) throw refuse('conflict', { detail: 'The owner is who they were' });
    await changeRole(acting, heir, 'owner');
    await changeRole(acting, owner, 'admin');
    return shownMember(acting, to);
  });
}
