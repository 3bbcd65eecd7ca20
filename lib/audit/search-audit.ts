import type { Connection, Types } from 'mongoose';
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
  const filters = [
    ...filtersOf(rest),
    ...(after ? [{ at: { $lte: after.value } }, beyond('at', -1, after, id)] : []),
  ];
  const find = ($and: object[]) =>
    database(() =>
      AuditEntries(connection)
        .find($and.length > 0 ? { $and } : {})
        .sort({ at: -1, _id: -1 })
        .limit(limit + 1)
        .lean(),
    );
  const found = await Promise.all(placesOf(rest.q).map((place) => find([...place, ...filters])));
  return sortedPageOf(
    merged(found),
    limit,
    ({ at, _id }) => ({ sort, value: at, id: String(_id) }),
    asAuditEntry,
  );
}

/** Where a text may stand: each place has an index of its own, in the order of the list. */
const placesOf = (q: string | undefined): object[][] =>
  q === undefined ? [[]] : [[{ action: q }], [{ actor: q }], [{ 'target.id': q }]];

/** Lists of the same order as one, each row once. */
function merged<Row extends { at: Date; _id: Types.ObjectId }>(lists: readonly Row[][]): Row[] {
  const rows = [...new Map(lists.flat().map((row) => [String(row._id), row])).values()];
  if (lists.length === 1) return rows;
  return rows.sort((a, b) => b.at.getTime() - a.at.getTime() || (String(a._id) < String(b._id) ? 1 : -1));
}

function filtersOf({ action, actor, organizationId, from, to }: Omit<SearchAudit, 'limit'>): object[] {
  return [
    ...(action === undefined ? [] : [{ action }]),
    ...(actor === undefined ? [] : [{ actor }]),
    ...(organizationId === undefined ? [] : [{ organization: objectId(organizationId) ?? { $in: [] } }]),
    ...(from ? [{ at: { $gte: from } }] : []),
    ...(to ? [{ at: { $lt: to } }] : []),
  ];
}
