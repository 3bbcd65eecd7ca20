import type { Connection, Types } from 'mongoose';
import { refuse } from '../errors.js';
import { AuditEntries } from '../models/audit-entry.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import { objectId } from '../runtime/ids.js';
import { type Page, type PageQuery, pageOf } from '../runtime/page.js';
import { type AuditEntry, asAuditEntry } from './as-audit-entry.js';

export interface ListAudit extends PageQuery {
  readonly organizationId: string;
  /** Such as `organization.member.joined`. */
  readonly action?: string | undefined;
  /** The id of the user who acted. */
  readonly actor?: string | undefined;
  /** The first moment. */
  readonly from?: Date | undefined;
  /** The moment before which it ends. */
  readonly to?: Date | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * The audit log of an organization, the newest entry first.
 *
 * @throws {TollgateError} `validation_failed` (400) for a cursor of another list; `database_unavailable` (503)
 * @example const { items } = await listAudit({ organizationId: acme.id, action: 'organization.member.joined', limit: 25 });
 */
export async function listAudit({
  organizationId,
  limit,
  after,
  ...rest
}: ListAudit): Promise<Page<AuditEntry>> {
  const connection = opened(rest.connection);
  const organization = objectId(organizationId);
  if (!organization) throw refuse('not_found');
  const { action, actor, from, to } = rest;
  const filter = {
    organization,
    ...(action !== undefined && { action }),
    ...(actor !== undefined && { actor }),
    ...((from || to) && { at: { ...(from && { $gte: from }), ...(to && { $lt: to }) } }),
    ...(after && (await olderThan(connection, organization, after))),
  };
  const rows = await database(() =>
    AuditEntries(connection)
      .find(filter)
      .sort({ at: -1, _id: -1 })
      .limit(limit + 1)
      .lean(),
  );
  return pageOf(rows, limit, ({ _id }) => _id, asAuditEntry);
}

/** Entries are in the order of their time; their ids only tell those of one moment apart. */
async function olderThan(connection: Connection, organization: Types.ObjectId, _id: Types.ObjectId) {
  const last = await database(() =>
    AuditEntries(connection).findOne({ _id, organization }, { at: 1 }).lean(),
  );
  if (!last) {
    const errors = [{ path: 'cursor', message: 'must be the nextCursor of a page of this list' }];
    throw refuse('validation_failed', { errors });
  }
  const { at } = last;
  return { $and: [{ at: { $lte: at } }, { $or: [{ at: { $lt: at } }, { _id: { $lt: _id } }] }] };
}
