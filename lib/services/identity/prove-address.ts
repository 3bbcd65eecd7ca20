import type { ClientSession, Connection, Types } from 'mongoose';
import type { Origin } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import type { StoredUser } from '../../models/user.js';
import { endApiKeys } from '../api-keys/end-api-keys.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import type { PasswordHash } from './password.js';

export interface AddressProof extends Origin {
  /** The user as read, with an address that nobody has proved yet. */
  readonly user: { readonly _id: Types.ObjectId; readonly email: string };
  /** A password that whoever proved the address is known to have chosen; none: the account has none until a reset. */
  readonly password?: PasswordHash | null | undefined;
}

/**
 * The first proof that a user owns their address, in the transaction of `session`. Whoever has used the account before it may have been
 * somebody else: its password, other credentials, API keys and sessions go, or that person would keep a way in.
 *
 * @throws {TollgateError} `token_used` (400) when the address has been proved meanwhile
 */
export async function proveAddress(
  connection: Connection,
  session: ClientSession,
  { user, password = null, ...origin }: AddressProof,
): Promise<StoredUser & { _id: Types.ObjectId }> {
  const proved = await changeCredentials(connection, session, {
    ...origin,
    filter: { _id: user._id, email: user.email, emailVerified: { $ne: true }, status: { $ne: 'inactive' } },
    update: { $set: { emailVerified: true, password, totp: null }, $unset: { identities: 1, passkeys: 1 } },
  });
  if (!proved) throw refuse('token_used');
  await endApiKeys(connection, session, { ...origin, users: [user._id], actor: String(user._id) });
  return proved;
}
