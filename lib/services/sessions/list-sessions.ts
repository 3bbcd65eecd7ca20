import type { Connection } from 'mongoose';
import { liveSession, Sessions } from '../../models/session.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { type Page, type PageQuery, pageOf } from '../../runtime/page.js';
import { asSession, type Session } from './as-session.js';

export interface ListSessions extends PageQuery {
  readonly userId: string;
  readonly connection?: Connection | undefined;
}

/** The sessions in which a user is signed in, the oldest first. */
export async function listSessions({ userId, limit, after, ...rest }: ListSessions): Promise<Page<Session>> {
  const connection = opened(rest.connection);
  const filter = {
    user: readUserId(connection, userId),
    ...liveSession,
    ...(after && { _id: { $gt: after } }),
  };
  const rows = await database(() =>
    Sessions(connection)
      .find(filter)
      .sort({ _id: 1 })
      .limit(limit + 1)
      .lean(),
  );
  return pageOf(rows, limit, ({ _id }) => _id, asSession);
}
