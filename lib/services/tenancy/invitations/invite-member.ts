import { Types } from 'mongoose';
import { refuse } from '../../../errors.js';
import { needMail } from '../../../mail/enqueue-mail.js';
import { Invitations } from '../../../models/invitation.js';
import { Memberships } from '../../../models/membership.js';
import { Users } from '../../../models/user.js';
import { opened } from '../../../runtime/connection.js';
import { isDuplicate } from '../../../runtime/database.js';
import { readOptions, type SharedOptions, signingKeys } from '../../../runtime/options.js';
import { emailSchema } from '../../identity/canonical-email.js';
import { holdRole } from '../../roles/hold-role.js';
import { type Act, type Acting, actFields, inOrganization } from '../in-organization.js';
import { roleName, teamIdList } from '../members/add-member.js';
import { requireTeams } from '../members/hold-teams.js';
import { requireRights } from '../require-rights.js';
import { asInvitation, type Invitation } from './as-invitation.js';
import { sendInvitation, spendInvitation } from './send-invitation.js';

export interface InviteMember extends Act {
  email: string;
  /** Default `member`. */
  role?: string | undefined;
  teamIds?: readonly string[] | undefined;
}

const own = { ...actFields, email: emailSchema.required(), role: roleName, teamIds: teamIdList };

/**
 * Invites whoever owns an address into an organization: a mail has the link, and the invitation holds a seat for a week. Whether the address has an
 * account makes no difference, and is not asked. An invitation that has expired is replaced. An address is sent so many as `mailRate` says,
 * whoever sends them.
 *
 * @throws {TypeError} when an argument is wrong, or the application sends no mail
 * @throws {TollgateError} `conflict` (409) when one is open for the address; `already_member` (409), `seats_exhausted` (409), also beyond a
 *   thousand open ones; `not_found` (404) for an unknown organization or team; `validation_failed` (400) for an unknown role;
 *   `permission_missing` (403) when `actor` lacks what the role holds; `rate_limited` (429); `overloaded`, `database_unavailable` (503)
 * @example await inviteMember({ ...shared, organizationId: acme.id, email: 'grace@example.com', actor: user.id });
 */
export async function inviteMember(input: InviteMember & SharedOptions): Promise<Invitation> {
  const given = readOptions<InviteMember>('inviteMember', input, { ...signingKeys(), ...own });
  needMail('inviteMember', given);
  const { email, role = 'member', teamIds = [], actor: invitedBy = null } = given;
  await spendInvitation({ ...given, connection: opened(given.connection) }, email);
  return inOrganization(given, async (acting) => {
    const { connection, session, organization } = acting;
    const permissions = await holdRole(connection, session, { organization, name: role });
    await requireRights(acting, ['organization.invitations.manage'], permissions);
    const teams = await requireTeams(acting, teamIds);
    await refuseInvitee(acting, email);
    const expired = { email, organization, $expr: { $lte: ['$expiresAt', '$$NOW'] } };
    await Invitations(connection).deleteOne(expired, { session });
    const issue = { organization, email, role, teams, invitedBy };
    const invitation = await sendInvitation(acting, new Types.ObjectId(), issue);
    const target = { type: 'invitation', id: String(invitation._id) };
    await acting.record('organization.invitation.created', target, { role, teamIds: teams.map(String) });
    return asInvitation(invitation);
  }).catch((error: unknown) => {
    if (!isDuplicate(error, 'email')) throw error;
    throw refuse('conflict', { detail: 'An invitation is open for this address' });
  });
}

/** In one command for every address, so that nobody can tell from it which has an account. */
async function refuseInvitee({ connection, session, organization }: Acting, email: string): Promise<void> {
  const membership = {
    from: Memberships(connection).collection.name,
    localField: '_id',
    foreignField: 'user',
    pipeline: [{ $match: { organization } }, { $project: { _id: 1 } }],
    as: 'memberships',
  };
  const [found] = await Users(connection)
    .aggregate<{ memberships: unknown[] }>([
      { $match: { email } },
      { $project: { _id: 1 } },
      { $lookup: membership },
    ])
    .session(session);
  if (found && found.memberships.length > 0) throw refuse('already_member');
}
