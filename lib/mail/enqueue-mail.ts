import type { ClientSession, Connection } from 'mongoose';
import { type MailRequest, Outbox } from '../models/outbox.js';
import { changed } from '../models/revocation.js';

/** What the change feed calls the arrival of mail. */
export const outboxSubject = 'outbox';

/**
 * Puts a mail into the outbox, in the transaction of what it tells of: it goes out when that is committed, and no crash loses
 * it. The workers of all processes are told at once.
 */
export async function enqueueMail(
  connection: Connection,
  session: ClientSession,
  mail: MailRequest,
): Promise<void> {
  await Outbox(connection).put(mail, session);
  await changed(connection, session, outboxSubject);
}
