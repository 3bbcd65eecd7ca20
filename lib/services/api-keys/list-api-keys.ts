import type { Connection } from 'mongoose';
import { ApiKeys } from '../../models/api-key.js';
import { readUserId } from '../../models/user-id.js';
import type { ApiKey } from '../../runtime/api-key.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import { type Page, type PageQuery, pageOf } from '../../runtime/page.js';
import { asApiKey } from './as-api-key.js';

export interface ListApiKeys extends PageQuery {
  readonly userId: string;
  readonly connection?: Connection | undefined;
}

/**
 * A user's API keys, the oldest first: also those that are expired, used up or deleted, for somebody may ask what a key was that
 * turns up in a log.
 */
export async function listApiKeys({ userId, limit, after, ...rest }: ListApiKeys): Promise<Page<ApiKey>> {
  const connection = opened(rest.connection);
  const filter = { user: readUserId(connection, userId), ...(after && { _id: { $gt: after } }) };
  const rows = await database(() =>
    ApiKeys(connection)
      .find(filter, { hash: 0 })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .lean(),
  );
  return pageOf(rows, limit, ({ _id }) => _id, asApiKey);
}
