import Joi from 'joi';
import { Invitations } from '../../../models/invitation.js';
import { Organizations } from '../../../models/organization.js';
import { readOptions, type SharedOptions } from '../../../runtime/options.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { permissionsOfRole, requireRights } from '../require-rights.js';
import { findInvitation } from './send-invitation.js';

export interface RevokeInvitation extends Act {
  invitationId: string;
}

const own = { ...actFields, invitationId: Joi.string().required() };

/**
 * Takes an invitation back: its link is good for nothing any more, and its seat is free.
 *
 * @throws {TollgateError} `not_found` (404); `permission_missing` (403) when `actor` lacks what its role holds; `overloaded`,
 *   `database_unavailable` (503)
 * @example await revokeInvitation({ organizationId: acme.id, invitationId: invitation.id, actor: user.id });
 */
export async function revokeInvitation(input: RevokeInvitation & SharedOptions): Promise<void> {
  const given = readOptions<RevokeInvitation>('revokeInvitation', input, own);
  await inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    const { _id, role } = await findInvitation(acting, given.invitationId);
    const permissions = await permissionsOfRole(acting, role);
    await requireRights(acting, ['organization.invitations.manage'], permissions);
    await Invitations(connection).deleteOne({ _id }, { session });
    await Organizations(connection).freePlaces([organization], [_id], session);
    await acting.record('organization.invitation.revoked', { type: 'invitation', id: String(_id) }, { role });
  });
}
