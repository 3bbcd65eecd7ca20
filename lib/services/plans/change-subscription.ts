import type { ClientSession, Connection, UpdateQuery } from 'mongoose';
import { recordAudit } from '../../audit/record-audit.js';
import { changed } from '../../models/revocation.js';
import { Subscriptions } from '../../models/subscription.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import type { SharedOptions } from '../../runtime/options.js';
import { type Subject, subjectKey, subjectSchema } from '../../runtime/subject.js';
import { transaction } from '../../runtime/transaction.js';
import { type Authority, authorityFields, byWhom, requireAuthority } from './authority.js';

/** What every function that does something about a subject's plan is told. */
export interface SubjectOperation<Context = unknown> extends Authority<Context> {
  subject: Subject;
}

export const subjectOperation = { subject: subjectSchema.required(), ...authorityFields };

/** What an operation has done: the name of the act, and what else the audit log says of it; null: nothing. */
export type Done = { readonly action: string; readonly details?: object } | null;

/**
 * Asks the application whether it may be done, and does it in one transaction with its audit entry and the news of it.
 *
 * @throws {TollgateError} `permission_missing` (403), `database_unavailable` (503), and what `work` throws
 */
export async function operate(
  given: SubjectOperation<never> & SharedOptions,
  work: (connection: Connection, session: ClientSession) => Promise<Done>,
): Promise<void> {
  const by = given as SubjectOperation;
  await requireAuthority(by);
  const connection = opened(given.connection);
  const { subject: target } = given;
  await transaction(connection, async (session) => {
    const done = await work(connection, session);
    if (done === null) return;
    await changed(connection, session, subjectKey(target));
    const organization = target.type === 'organization' ? (objectId(target.id) ?? undefined) : undefined;
    await recordAudit({ connection, session, ...byWhom(by), ...done, target, organization });
  });
}
