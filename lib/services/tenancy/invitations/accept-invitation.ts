import { type ErrorCode, isTollgateError, refuse } from '../../../errors.js';
import { Organizations } from '../../../models/organization.js';
import { isDuplicate } from '../../../runtime/database.js';
import { readOptions, type SharedOptions, verifyingKeys } from '../../../runtime/options.js';
import { holdRole } from '../../roles/hold-role.js';
import type { Member } from '../members/as-member.js';
import { join, refuseMember, requireSeat } from '../members/join.js';
import { requireRights } from '../require-rights.js';
import { answerFields, byToken, type InvitationAnswer } from './invitation-by-token.js';

/** A member, and of which organization. */
export type AcceptedInvitation = Member & { readonly organizationId: string };

/**
 * Makes a user a member of the organization that has invited their address.
 *
 * The invitation has held the seat, so accepting it turns that into a member's; only an organization that has been given fewer seats since, and has as many
 * members as those, refuses. An invitation gives no more than whoever sent it may give at this moment. What is refused leaves the invitation as it is.
 *
 * @throws {TollgateError} `token_used` (400) when the invitation is unknown, used, expired or for another address than the user's proved one;
 *   `already_member`, `seats_exhausted` (409); `conflict` (409) when its role is gone, or whoever sent it may not give that any more; `not_found` (404) when the
 *   organization is gone; `overloaded`, `database_unavailable` (503)
 * @example const { organizationId } = await acceptInvitation({ ...shared, token, userId: user.id });
 */
export async function acceptInvitation(input: InvitationAnswer & SharedOptions): Promise<AcceptedInvitation> {
  const given = readOptions<InvitationAnswer>('acceptInvitation', input, {
    ...verifyingKeys(),
    ...answerFields,
  });
  return byToken(given, async (acting, { _id, role, teams, invitedBy }, user) => {
    const { connection, session, organization } = acting;
    await refuseMember(acting, user._id);
    const choice = { organization, name: role };
    const permissions = await holdRole(connection, session, choice).catch(
      asConflict('validation_failed', gone),
    );
    const by = { ...acting, actor: invitedBy ?? undefined, scopes: undefined };
    const may = ['organization.invitations.manage'];
    await requireRights(by, may, permissions).catch(asConflict('permission_missing', revoked));
    requireSeat(await Organizations(connection).seat(organization, _id, session));
    const member = await join(acting, { user, role, teams });
    return Object.freeze({ organizationId: String(organization), ...member });
  }).catch((error: unknown) => {
    throw isDuplicate(error, 'user') ? refuse('already_member') : error;
  });
}

const gone = 'The organization does not have the role of the invitation any more';
const revoked = 'Whoever sent the invitation may not give its role any more';

/** A refusal of the code is none of the invited person's making. */
const asConflict =
  (code: ErrorCode, detail: string) =>
  (error: unknown): never => {
    throw isTollgateError(error, code) ? refuse('conflict', { detail }) : error;
  };
