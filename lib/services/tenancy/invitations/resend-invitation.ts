import Joi from 'joi';
import { refuse } from '../../../errors.js';
import { needMail } from '../../../mail/enqueue-mail.js';
import { Invitations } from '../../../models/invitation.js';
import { opened } from '../../../runtime/connection.js';
import { database } from '../../../runtime/database.js';
import { objectId } from '../../../runtime/ids.js';
import { type ReadSharedOptions, readOptions, type SharedOptions, signingKeys } from '../../../runtime/options.js'; // biome-ignore format: a list
import { type Act, actFields, inOrganization } from '../in-organization.js';
import { permissionsOfRole, requireRights } from '../require-rights.js';
import { asInvitation, type Invitation } from './as-invitation.js';
import { findInvitation, sendInvitation, spendInvitation } from './send-invitation.js';

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
 *   `rate_limited` (429) as for `inviteMember()`; `overloaded`, `database_unavailable` (503)
 * @example await resendInvitation({ ...shared, organizationId: acme.id, invitationId: invitation.id });
 */
export async function resendInvitation(input: ResendInvitation & SharedOptions): Promise<Invitation> {
  const given = readOptions<ResendInvitation>('resendInvitation', input, { ...signingKeys(), ...own });
  needMail('resendInvitation', given);
  await spendFor(given);
  return inOrganization(given, async (acting) => {
    const { _id, organization, email, role, teams } = await findInvitation(acting, given.invitationId);
    const permissions = await permissionsOfRole(acting, role);
    await requireRights(acting, ['organization.invitations.manage'], permissions);
    const issue = { organization, email, role, teams, invitedBy: given.actor ?? null };
    const invitation = await sendInvitation(acting, _id, issue);
    await acting.record('organization.invitation.resent', { type: 'invitation', id: String(_id) }, { role });
    return asInvitation(invitation);
  });
}

/** Of the address that the invitation has: it never changes. */
async function spendFor(given: ResendInvitation & ReadSharedOptions): Promise<void> {
  const connection = opened(given.connection);
  const [_id, organization] = [objectId(given.invitationId), objectId(given.organizationId)];
  const which = { _id, organization };
  const found =
    _id &&
    organization &&
    (await database(() => Invitations(connection).findOne(which, { email: 1 }).lean()));
  if (!found) throw refuse('not_found');
  await spendInvitation({ ...given, connection }, found.email);
}
