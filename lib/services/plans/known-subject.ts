import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { Organizations } from '../../models/organization.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { database } from '../../runtime/database.js';
import { objectId } from '../../runtime/ids.js';
import type { Subject } from '../../runtime/subject.js';

/**
 * The user or the organization that an address names.
 *
 * @throws {TollgateError} `not_found` (404) when there is none, `database_unavailable` (503)
 */
export async function knownSubject(
  connection: Connection,
  { type, id }: { readonly type: string | undefined; readonly id: string | undefined },
): Promise<Subject> {
  if (type === 'user') {
    const _id = readUserId(connection, id);
    if (_id && (await database(() => Users(connection).exists({ _id })))) return { type, id: String(_id) };
  }
  if (type === 'organization') {
    const _id = objectId(id);
    if (_id && (await database(() => Organizations(connection).exists({ _id }))))
      return { type, id: String(_id) };
  }
  throw refuse('not_found');
}
