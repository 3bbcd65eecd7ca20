import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { AuditEntries } from '../models/audit-entry.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import { objectId } from '../runtime/ids.js';
import type { Page } from '../runtime/page.js';
import { beyond, type SortedPageQuery, sortedPageOf } from '../runtime/sorted-page.js';
import { type AuditEntry, asAuditEntry } from './as-audit-entry.js';

export interface SearchAudit extends SortedPageQuery {
  /** An action, or the id of who acted or of what it was done to. */
  readonly q?: string | undefined;
  readonly action?: string | undefined;
  /** The id of the user who acted. */
  readonly actor?: string | undefined;
  readonly organizationId?: string | undefined;
  /** The first moment. */
  readonly from?: Date | undefined;
  /** The moment before which it ends. */
  readonly to?: Date | undefined;
  readonly connection?: Connection | undefined;
}

/** The only order, for the cursor. */
const sort = '-at';

/**
 * Entries of the whole audit log, the newest first.
 *
 * @throws {TollgateError} `validation_failed` (400) for a cursor of another list; `database_unavailable` (503)
 * @example const { items } = await searchAudit({ actor: user.id, from: yesterday, limit: 25 });
 */
export async function searchAudit({ limit, after, ...rest }: SearchAudit): Promise<Page<AuditEntry>> {
  const connection = opened(rest.connection);
  const id = objectId(after?.id);
  if (after && (!id || after.sort !== sort || !(after.value instanceof Date))) {
    const errors = [{ path: 'cursor', message: 'must be the nextCursor of a page of this list' }];
    throw refuse('validation_failed', { errors });
  }
  const filters = [...filtersOf(rest), ...(after ? [beyond('at', -1, after, id)] : [])];
  const rows = await database(() =>
    AuditEntries(connection)
      .find(filters.length > 0 ? { $and: filters } : {})
      .sort({ at: -1, _id: -1 })
      .limit(limit + 1)
      .lean(),
  );
  return sortedPageOf(rows, limit, ({ at, _id }) => ({ sort, value: at, id: String(_id) }), asAuditEntry);
}

function filtersOf({ q, action, actor, organizationId, from, to }: Omit<SearchAudit, 'limit'>): object[] {
  return [
    ...(q === undefined ? [] : [{ $or: [{ action: q }, { actor: q }, { 'target.id': q }] }]),
    ...(action === undefined ? [] : [{ action }]),
    ...(actor === undefined ? [] : [{ actor }]),
    ...(organizationId === undefined ? [] : [{ organization: objectId(organizationId) ?? { $in: [] } }]),
    ...(from ? [{ at: { $gte: from } }] : []),
    ...(to ? [{ at: { $lt: to } }] : []),
  ];
}
