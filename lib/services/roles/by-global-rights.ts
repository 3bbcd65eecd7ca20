import type { ClientSession, Connection } from 'mongoose';
import { Roles } from '../../models/role.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { database } from '../../runtime/database.js';
import { transaction } from '../../runtime/transaction.js';
import { transactionInTurn } from '../../runtime/transaction-in-turn.js';

/** Refuses whoever may not: in the transaction of `session`; with null beforehand, when it writes nothing. */
export type Judge<Judged> = (session: ClientSession | null) => Promise<Judged>;

/**
 * Runs `work`, which somebody does to users or global roles, in one transaction that begins by writing to whoever does it and to their global roles: of two
 * where one takes from the other what they act by, the later one begins again and then sees that, so that nobody gives or takes by a right that they
 * are just losing. The acts of one actor, and of holders of one role, wait for each other, ten seconds at most; the application itself (no `actor`) waits for
 * nobody, and nobody for whoever is refused: `judge` decides before anything is written, and again in the transaction, where it counts.
 *
 * @throws {TollgateError} `overloaded`, `database_unavailable` (503), and what `judge` and `work` throw
 */
export async function byGlobalRights<Judged, T>(
  connection: Connection,
  actor: string | undefined,
  judge: Judge<Judged>,
  work: (session: ClientSession, judged: Judged) => Promise<T>,
): Promise<T> {
  const act = async (session: ClientSession) => work(session, await judge(session));
  if (actor === undefined) return transaction(connection, act);
  await database(() => judge(null));
  const name = `global acts of ${actor}`; // their own line: whoever acts by other roles is not held up by them
  return transactionInTurn(connection, name, (session) => hold(connection, session, actor), act);
}

/** Whoever has just gone holds nothing; `judge` refuses them. */
async function hold(connection: Connection, session: ClientSession, actor: string): Promise<void> {
  const _id = readUserId(connection, actor);
  const user = _id && (await Users(connection).noteAct(_id, session));
  if (user) await Roles(connection).noteAct(user.roles ?? [], session);
}
