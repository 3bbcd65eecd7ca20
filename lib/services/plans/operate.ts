import type { ClientSession, Connection } from 'mongoose';
import { recordAudit } from '../../audit/record-audit.js';
import { readSubject } from '../../models/read-subject.js';
import { changed } from '../../models/revocation.js';
import { lockCounters } from '../../quota/counters.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { type ReadSharedOptions, readOptions } from '../../runtime/options.js';
import { type Subject, subjectKey, subjectSchema } from '../../runtime/subject.js';
import { transaction } from '../../runtime/transaction.js';
import { type Authority, authorityFields, byWhom, requireAuthority } from './authority.js';

/** What every function that does something about a subject's plan is told. */
export interface SubjectOperation<Context = unknown> extends Authority<Context> {
  subject: Subject;
}

const ofAll = { subject: subjectSchema.required(), ...authorityFields };

/**
 * Reads what such a function was told.
 *
 * @throws {TypeError} when an argument is wrong
 */
export function readOperation<Given extends SubjectOperation>(
  name: string,
  input: unknown,
  own: Parameters<typeof readOptions>[2] = {},
): ReadSharedOptions & Given {
  const given = readOptions<Given>(name, input, { ...ofAll, ...own });
  return { ...given, subject: readSubject(opened(given.connection), given.subject) };
}

/** The name of an act for the audit log, with what else is worth keeping; null: nothing was to be done. */
export type Act = { readonly action: string; readonly details?: Readonly<Record<string, unknown>> } | null;

/**
 * Asks the application whether it may be done; then does it in one transaction with its audit entry and the news of it. What the subject has
 * counters of nobody counts meanwhile, so that it is done soon however busy they are.
 *
 * @returns whether anything was
 * @throws {TollgateError} `permission_missing` (403), `database_unavailable` (503), and what `work` throws
 */
export async function operate(
  operation: SubjectOperation & { readonly connection?: Connection | undefined },
  work: (connection: Connection, session: ClientSession) => Promise<Act>,
): Promise<boolean> {
  const connection = opened(operation.connection);
  await requireAuthority(operation);
  const { subject: target } = operation;
  const organization = target.type === 'organization' ? (objectId(target.id) ?? undefined) : undefined;
  return transaction(connection, async (session) => {
    await lockCounters(connection, session, target);
    const act = await work(connection, session);
    if (act === null) return false;
    await changed(connection, session, subjectKey(target));
    await recordAudit({ connection, session, ...byWhom(operation), ...act, target, organization });
    return true;
  });
}
