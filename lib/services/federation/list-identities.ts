import type { Connection } from 'mongoose';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';

/** An account elsewhere by which a user can sign in. */
export interface LinkedIdentity {
  readonly provider: string;
  /** As the provider said it when it was linked. */
  readonly email: string | null;
  readonly linkedAt: Date;
}

export interface ListIdentities {
  readonly userId: string;
  readonly connection?: Connection | undefined;
}

/**
 * The accounts elsewhere by which a user can sign in, the oldest link first.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const [first] = await listIdentities({ userId: user.id });
 */
export async function listIdentities({
  userId,
  ...rest
}: ListIdentities): Promise<readonly LinkedIdentity[]> {
  const connection = opened(rest.connection);
  const user = await database(() =>
    Users(connection).findById(readUserId(connection, userId), { identities: 1 }).lean(),
  );
  const identities = user?.identities ?? [];
  return identities.map(({ provider, email = null, linkedAt }) => ({ provider, email, linkedAt }));
}
