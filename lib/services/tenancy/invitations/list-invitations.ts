import type { Connection } from 'mongoose';
import { refuse } from '../../../errors.js';
import { Invitations } from '../../../models/invitation.js';
import { opened } from '../../../runtime/connection.js';
import { database } from '../../../runtime/database.js';
import { objectId } from '../../../runtime/ids.js';
import { type Page, type PageQuery, pageOf } from '../../../runtime/page.js';
import { asInvitation, type Invitation } from './as-invitation.js';

export interface ListInvitations extends PageQuery {
  readonly organizationId: string;
  readonly connection?: Connection | undefined;
}

/** The invitations of an organization, the oldest first; also those that have expired, until the clean-up takes them: they can be sent again. */
export async function listInvitations({
  organizationId,
  limit,
  after,
  ...rest
}: ListInvitations): Promise<Page<Invitation>> {
  const connection = opened(rest.connection);
  const organization = objectId(organizationId);
  if (!organization) throw refuse('not_found');
  const rows = await database(() =>
    Invitations(connection)
      .find({ organization, ...(after && { _id: { $gt: after } }) })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .lean(),
  );
  return pageOf(rows, limit, ({ _id }) => _id, asInvitation);
}
