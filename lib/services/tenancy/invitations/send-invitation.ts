import type { Types } from 'mongoose';
import { refuse } from '../../../errors.js';
import { enqueueMail } from '../../../mail/enqueue-mail.js';
import { type InvitationIssue, Invitations } from '../../../models/invitation.js';
import { Organizations } from '../../../models/organization.js';
import { objectId } from '../../../runtime/ids.js';
import { type MailRequest, spend } from '../../identity/guessing-budget.js';
import type { Acting } from '../in-organization.js';
import { requireSeat } from '../members/join.js';
import type { FoundInvitation } from './as-invitation.js';

/** Seconds for which an invitation is good, from its last mail on: a week. */
const validFor = 604_800;

/**
 * Spends a point of what an address may be sent of invitations, whoever sends them and whether it has an account: nobody is to be flooded. Before the
 * transaction, which may run again.
 *
 * @throws {TollgateError} `rate_limited` (429), `database_unavailable` (503)
 */
export const spendInvitation = (by: Omit<MailRequest, 'route' | 'account'>, email: string): Promise<void> =>
  spend({ ...by, route: 'invitation', account: email, manyAccounts: true });

/**
 * Makes an invitation or prolongs one, with the seat that it holds and the mail that tells of it: all or nothing, in the transaction of `acting`.
 *
 * @throws {TollgateError} `seats_exhausted` (409), also beyond a thousand open invitations
 */
export async function sendInvitation(
  acting: Acting,
  _id: Types.ObjectId,
  issue: InvitationIssue,
): Promise<FoundInvitation> {
  const { connection, session, organization } = acting;
  const invitation = await Invitations(connection).issue(_id, issue, validFor, session);
  const place = { id: _id, expiresAt: invitation.expiresAt };
  requireSeat(await Organizations(connection).holdPlace(organization, place, session));
  await enqueueMail(connection, session, { kind: 'invitation', to: issue.email, token: _id });
  return invitation;
}

/**
 * An invitation of the organization, expired or not, as the transaction sees it.
 *
 * @throws {TollgateError} `not_found` (404), also for a malformed id
 */
export async function findInvitation(
  { connection, session, organization }: Acting,
  invitationId: string,
): Promise<FoundInvitation> {
  const _id = objectId(invitationId);
  const found =
    _id && (await Invitations(connection).findOne({ _id, organization }, null, { session }).lean());
  if (!found) throw refuse('not_found');
  return found;
}
