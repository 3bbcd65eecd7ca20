import type { Types } from 'mongoose';
import type { StoredAuditEntry } from '../models/audit-entry.js';
import type { AuditTarget } from './record-audit.js';

/** An entry of the audit log as those see it who may read it. */
export interface AuditEntry {
  readonly id: string;
  readonly at: Date;
  readonly action: string;
  readonly actor: string | null;
  readonly target: AuditTarget | null;
  readonly organizationId: string | null;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Shows a stored entry, without what proves it. */
export function asAuditEntry(stored: StoredAuditEntry & { readonly _id: Types.ObjectId }): AuditEntry {
  const { _id, at, action, actor, target, organization, ip, userAgent, requestId, details } = stored;
  const { type, id } = target ?? {};
  return Object.freeze({
    id: String(_id),
    at,
    action,
    actor: actor ?? null,
    target: type && id ? { type, id } : null,
    organizationId: organization ? String(organization) : null,
    ip: ip ?? null,
    userAgent: userAgent ?? null,
    requestId: requestId ?? null,
    details: details ?? {},
  });
}
