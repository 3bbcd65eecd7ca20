import { AuditEntries } from '../models/audit-entry.js';
import { AuditHeads, organizationOf } from '../models/audit-head.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import { objectId } from '../runtime/ids.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import type { AuditHead } from './audit-head.js';
import { verifyAudit } from './verify-audit.js';
import type { AuditProblem } from './walk-audit.js';

export interface WholeVerification {
  readonly ok: boolean;
  /** Entries that were read. */
  readonly checked: number;
  readonly problems: readonly (AuditProblem & { readonly organizationId: string | null })[];
  /** The end of each chain now. */
  readonly heads: readonly AuditHead[];
}

/**
 * Verifies every chain of the audit log, as `verifyAudit()` does one: those of which there is a head, and those of which there is only an entry.
 *
 * @throws {TypeError} when an option is wrong
 * @throws {TollgateError} `database_unavailable` (503)
 */
export async function verifyAllAudit(input: SharedOptions): Promise<WholeVerification> {
  const given = readOptions('verifyAllAudit', input, signingKeys());
  const connection = opened(given.connection);
  const named = await database(() => AuditHeads(connection).find({}, { _id: 1 }).sort({ _id: 1 }).lean());
  const written = await database(() => AuditEntries(connection).distinct('organization'));
  const ids = [...named.map(({ _id }) => organizationOf(_id)), ...written.map((id) => id && String(id))];
  const [problems, heads]: [WholeVerification['problems'][number][], AuditHead[]] = [[], []];
  let checked = 0;
  for (const organizationId of new Set(ids)) {
    if (organizationId !== null && !objectId(organizationId)) continue; // no chain of ours has such a name
    const one = await verifyAudit({ ...given, organizationId });
    checked += one.checked;
    problems.push(...one.problems.map((problem) => ({ ...problem, organizationId })));
    if (one.head) heads.push(one.head);
  }
  return { ok: problems.length === 0, checked, problems, heads };
}
