import { Organizations } from '../../../models/organization.js';
import { readOptions, type SharedOptions, verifyingKeys } from '../../../runtime/options.js';
import { answerFields, byToken, type InvitationAnswer } from './invitation-by-token.js';

/**
 * Turns an invitation down: its link is good for nothing any more, and its seat is free.
 *
 * @throws {TollgateError} `token_used` (400) when the invitation is unknown, used, expired or for another address than the user's proved one;
 *   `overloaded`, `database_unavailable` (503)
 * @example await declineInvitation({ ...shared, token, userId: user.id });
 */
export async function declineInvitation(input: InvitationAnswer & SharedOptions): Promise<void> {
  const given = readOptions<InvitationAnswer>('declineInvitation', input, {
    ...verifyingKeys(),
    ...answerFields,
  });
  await byToken(given, async (acting, { _id, role }) => {
    await Organizations(acting.connection).freePlaces([acting.organization], [_id], acting.session);
    await acting.record(
      'organization.invitation.declined',
      { type: 'invitation', id: String(_id) },
      { role },
    );
  });
}
