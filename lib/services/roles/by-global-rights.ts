import type { ClientSession, Connection } from 'mongoose';
import { Roles } from '../../models/role.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { transaction } from '../../runtime/transaction.js';
import { transactionInTurn } from '../../runtime/transaction-in-turn.js';

/**
 * Runs `work`, which somebody does to users or global roles, in one transaction that begins by writing to whoever does it and to their global roles: of two
 * where one takes from the other what they act by, the later one begins again and then sees that, so that nobody gives or takes by a right that they
 * are just losing. The acts of one actor, and of holders of one role, wait for each other, ten seconds at most; the application itself (no `actor`) waits for
 * nobody.
 *
 * @throws {TollgateError} `overloaded`, `database_unavailable` (503), and what `work` throws
 */
export async function byGlobalRights<T>(
  connection: Connection,
  actor: string | undefined,
  work: (session: ClientSession) => Promise<T>,
): Promise<T> {
  if (actor === undefined) return transaction(connection, work);
  const name = `global acts of ${actor}`; // their own line: whoever acts by other roles is not held up by them
  return transactionInTurn(connection, name, (session) => hold(connection, session, actor), work);
}

/** Whoever is unknown holds nothing; `work` refuses them. */
async function hold(connection: Connection, session: ClientSession, actor: string): Promise<void> {
  const _id = readUserId(connection, actor);
  const user = _id && (await Users(connection).noteAct(_id, session));
  if (user) await Roles(connection).noteAct(user.roles ?? [], session);
}
