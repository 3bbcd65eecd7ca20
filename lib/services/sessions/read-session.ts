import type { Connection, PipelineStage, Types } from 'mongoose';
import { Sessions, type StoredSession } from '../../models/session.js';
import { credentialPaths, type StoredUser, Users } from '../../models/user.js';
import { objectId } from '../../runtime/ids.js';
import { inBulk } from '../../runtime/in-bulk.js';
import { perConnection } from '../../runtime/per-connection.js';
import { type Asked, type Foreseen, foresight } from '../foresight.js';

/** A session as the database has it now, with its user. */
export type Joined = StoredSession &
  Partial<Foreseen> & {
    _id: Types.ObjectId;
    now: Date;
    users: (StoredUser & { _id: Types.ObjectId })[];
  };

/** A session, and who and what else is to be read with it. */
interface Item {
  readonly sessionId: string;
  readonly asked: Asked;
}

/** What is asked for while others are read is read by the next command, for all of them: it begins after each of them has asked. */
const readers = perConnection((connection) => ({
  alone: inBulk((ids: readonly string[]) => readAll(connection, ids)),
  named: inBulk((items: readonly Item[]) => foreseeAll(connection, items, true)),
  unnamed: inBulk((items: readonly Item[]) => foreseeAll(connection, items, false)),
}));

/** @throws {TollgateError} `overloaded`, `database_unavailable` (503) */
export const readSession = (connection: Connection, sessionId: string): Promise<Joined | undefined> =>
  readers(connection).alone(sessionId);

/**
 * The same with what guards decide by, of the organization that a request names, where it names one; nothing more than the session for a malformed id.
 *
 * @throws as `readSession()` does
 */
export function foreseeSession(
  connection: Connection,
  sessionId: string,
  { userId, organizationId }: { readonly userId: string; readonly organizationId: string | undefined },
): Promise<Joined | undefined> {
  const organization = objectId(organizationId);
  if (organizationId !== undefined && !organization) return readSession(connection, sessionId);
  const { named, unnamed } = readers(connection);
  return (organization ? named : unnamed)({ sessionId, asked: { userId, organization } });
}

async function readAll(connection: Connection, ids: readonly string[]): Promise<(Joined | undefined)[]> {
  const rows = await Sessions(connection).aggregate<Joined>(stages(connection, ids.map(objectId)));
  const found = new Map(rows.map((row) => [String(row._id), row]));
  return ids.map((id) => found.get(id));
}

async function foreseeAll(
  connection: Connection,
  items: readonly Item[],
  isNamed: boolean,
): Promise<(Joined | undefined)[]> {
  const bySession = new Map<string, Asked[]>();
  for (const { sessionId, asked } of items) {
    const others = bySession.get(sessionId);
    if (others) others.push(asked);
    else bySession.set(sessionId, [asked]);
  }
  const ids = [...bySession.keys()].map(objectId);
  const at = { $indexOfArray: [{ $literal: ids }, '$_id'] };
  const wanted = { $arrayElemAt: [{ $literal: [...bySession.values()] }, at] };
  const further = [{ $set: { asked: wanted } }, { $unwind: '$asked' }, ...foresight(connection, isNamed)];
  const rows = await Sessions(connection).aggregate<Joined & { readonly asked: Asked }>(
    stages(connection, ids, further),
  );
  const found = new Map(rows.map((row) => [nameOf({ sessionId: String(row._id), asked: row.asked }), row]));
  return items.map((item) => found.get(nameOf(item)));
}

const nameOf = ({ sessionId, asked: { userId, organization } }: Item): string =>
  JSON.stringify([sessionId, userId, organization]);

const hidden = Object.fromEntries(credentialPaths.map((path) => [`users.${path}`, 0]));

const stages = (
  connection: Connection,
  ids: readonly (Types.ObjectId | null)[],
  further: readonly PipelineStage[] = [],
): PipelineStage[] => [
  { $match: { _id: { $in: ids } } },
  {
    $lookup: {
      from: Users(connection).collection.name,
      localField: 'user',
      foreignField: '_id',
      as: 'users',
    },
  },
  ...further,
  { $project: { ...hidden, currentHash: 0, previousHash: 0 } },
  { $set: { now: '$$NOW' } },
];
