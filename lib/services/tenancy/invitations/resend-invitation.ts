import Joi from 'joi';
import { needMail } from '../../../mail/enqueue-mail.js';
import { readOptions, type SharedOptions, signingKeys } from '../../../runtime/options.js';
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { permissionsOfRole, requireRights } from '../require-rights.js';
import { asInvitation, type Invitation } from './as-invitation.js';
import { findInvitation, sendInvitation } from './send-invitation.js';

export interface ResendInvitation extends Act {
  invitationId: string;
}

const own = { ...actFields, invitationId: Joi.string().required() };

/**
 * Mails an invitation once more, with the same link; it is good for a week from now, and for as long as whoever sends it again may give its role. One that has
 * expired takes a seat again.
 *
 * @throws {TypeError} when an argument is wrong, or the application sends no mail
 * @throws {TollgateError} `not_found` (404); `seats_exhausted` (409); `permission_missing` (403) when `actor` lacks what its role holds;
 *   `overloaded`, `database_unavailable` (503)
 * @example await resendInvitation({ ...shared, organizationId: acme.id, invitationId: invitation.id });
 */
export async function resendInvitation(input: ResendInvitation & SharedOptions): Promise<Invitation> {
  const given = readOptions<ResendInvitation>('resendInvitation', input, { ...signingKeys(), ...own });
  needMail('resendInvitation', given);
  return inOrganization(given, async (acting) => {
    const { _id, organization, email, role, teams } = await findInvitation(acting, given.invitationId);
    const permissions = await permissionsOfRole(acting, role);
    await requireRights(acting, ['organization.invitations.manage'], permissions);
    const issue = { organization, email, role, teams, invitedBy: given.actor ?? null };
    const invitation = await sendInvitation(acting, _id, issue);
    await acting.record('organization.invitation.resent', { type: 'invitation', id: String(_id) });
    return asInvitation(invitation);
  });
}
