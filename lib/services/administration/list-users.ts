import type { Connection } from 'mongoose';
import { refuse } from '../../errors.js';
import { credentialPaths, Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { Page } from '../../runtime/page.js';
import { beyond, type SortedPageQuery, sortedPageOf } from '../../runtime/sorted-page.js';
import type { User } from '../../runtime/user.js';
import { asUser } from '../identity/as-user.js';
import type { FoundUser } from '../sessions/start-session.js';

/** What users can be sorted by; with `-` the other way round. */
export const userSorts = ['email', '-email', 'name', '-name', 'createdAt', '-createdAt'] as const;

export interface ListUsers extends SortedPageQuery {
  /** The beginning of the e-mail address, or of the name: as it is given, in small or capital letters, or with capital initials. */
  readonly q?: string | undefined;
  readonly role?: string | undefined;
  readonly status?: 'active' | 'inactive' | undefined;
  /** Default `email`. */
  readonly sort?: (typeof userSorts)[number] | undefined;
  readonly connection?: Connection | undefined;
}

const hidden = Object.fromEntries(credentialPaths.map((path) => [path, 0]));

/**
 * The users of the application. Each order is that of an index; with `q` what matches is sorted, so that few letters cost more than many.
 *
 * @throws {TollgateError} `validation_failed` (400) for a cursor of another order; `database_unavailable` (503)
 */
export async function listUsers({ limit, after, sort = 'email', ...rest }: ListUsers): Promise<Page<User>> {
  const connection = opened(rest.connection);
  const users = Users(connection);
  const [field, direction] = orderOf(sort);
  if (after && after.sort !== sort) {
    const errors = [{ path: 'cursor', message: 'must be the nextCursor of a page of this list' }];
    throw refuse('validation_failed', { errors });
  }
  const filters = [
    ...filtersOf(rest),
    ...(after ? [beyond(field, direction, after, readUserId(connection, after.id))] : []),
  ];
  const order = { [field]: direction, ...(field !== 'email' && { _id: direction }) }; // no two have the same address
  const rows = await database(() =>
    users
      .find(filters.length > 0 ? { $and: filters } : {}, hidden)
      .sort(order)
      .limit(limit + 1)
      .lean<FoundUser[]>(),
  );
  const placeOf = (row: FoundUser) => ({ sort, value: row[field] ?? null, id: String(row._id) });
  return sortedPageOf(rows, limit, placeOf, (row) => asUser(row, users));
}

const orderOf = (
  sort: (typeof userSorts)[number],
): [field: 'email' | 'name' | 'createdAt', direction: 1 | -1] =>
  sort.startsWith('-') ? [sort.slice(1) as 'email', -1] : [sort as 'email', 1];

function filtersOf({ q, role, status }: Pick<ListUsers, 'q' | 'role' | 'status'>): object[] {
  return [
    ...(q === undefined
      ? []
      : [{ $or: [{ email: beginning(q.toLowerCase()) }, { name: { $in: spellings(q) } }] }]),
    ...(role === undefined ? [] : [{ roles: role }]),
    ...(status === undefined ? [] : [{ status: status === 'inactive' ? status : { $ne: 'inactive' } }]),
  ];
}

/** Only a case-sensitive expression that is anchored is served by an index. */
const beginning = (text: string): RegExp =>
  new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')}`);

function spellings(text: string): RegExp[] {
  const small = text.toLowerCase();
  const initials = small.replaceAll(/(?<!\p{L})\p{L}/gu, (letter) => letter.toUpperCase());
  return [...new Set([text, small, initials, text.toUpperCase()])].map(beginning);
}
