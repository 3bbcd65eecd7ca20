import Joi from 'joi';
import { type Origin, originFields } from '../../../audit/record-audit.js';
import { refuse } from '../../../errors.js';
import { Invitations } from '../../../models/invitation.js';
import { type StoredUser, Users } from '../../../models/user.js';
import { readUserId } from '../../../models/user-id.js';
import { opened } from '../../../runtime/connection.js';
import { database } from '../../../runtime/database.js';
import { readLinkToken } from '../../../runtime/one-time-codes.js';
import type { ReadSharedOptions } from '../../../runtime/options.js';
import { type Acting, inOrganization } from '../in-organization.js';
import type { FoundInvitation } from './as-invitation.js';

/** What an invited person answers an invitation with. */
export interface InvitationAnswer extends Origin {
  /** As the link has it. */
  token: string;
  /** The id of the user who answers: their address must be the invited one, and proved. */
  userId: string;
}

export const answerFields = {
  token: Joi.string().required(),
  userId: Joi.string().required(),
  ...originFields,
};

type Invitee = StoredUser & { readonly _id: FoundInvitation['_id'] };

/**
 * Takes the invitation of a token out of circulation, and runs `work` in the same transaction.
 *
 * @throws {TollgateError} `token_used` (400) when it is unknown, used, expired or for another address than the user's proved one
 */
export async function byToken<T>(
  { token, userId, ...given }: InvitationAnswer & ReadSharedOptions,
  work: (acting: Acting, invitation: FoundInvitation, user: Invitee) => Promise<T>,
): Promise<T> {
  const connection = opened(given.connection);
  const id = readLinkToken('invitation', token, given.keyring);
  const known =
    id && (await database(() => Invitations(connection).findById(id, { organization: 1 }).lean()));
  const _id = readUserId(connection, userId);
  if (!known || !_id) throw refuse('token_used');
  const act = { ...given, organizationId: String(known.organization), actor: userId };
  return inOrganization(act, async (acting) => {
    const { session } = acting;
    const user = await Users(connection).noteJoin(_id, { emailVerified: true }, session);
    const invitation = user && (await Invitations(connection).redeem(id, user.email, session));
    if (!invitation) throw refuse('token_used');
    return work(acting, invitation, user);
  });
}
