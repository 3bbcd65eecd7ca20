import type { Connection } from 'mongoose';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { database } from '../../runtime/database.js';
import type { FoundUser } from '../sessions/start-session.js';

/** A user with all credentials, and the database's time: a code is judged by that clock, which all processes share. */
export interface UserNow {
  readonly user: FoundUser;
  readonly now: Date;
}

/** Undefined when there is no such user. */
export async function userNow(connection: Connection, userId: string): Promise<UserNow | undefined> {
  const [found] = await database(() =>
    Users(connection).aggregate<UserNow>([
      { $match: { _id: readUserId(connection, userId) } },
      { $project: { _id: 0, user: '$$ROOT', now: '$$NOW' } },
    ]),
  );
  return found;
}
