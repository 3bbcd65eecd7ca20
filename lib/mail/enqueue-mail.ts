import type { ClientSession, Connection } from 'mongoose';
import { type MailRequest, Outbox } from '../models/outbox.js';
import { changed } from '../models/revocation.js';
import type { SendMail } from '../runtime/mail.js';

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

/** What tells whether the application sends mail. */
export interface MailOptions {
  readonly mail?: SendMail | undefined;
  readonly smtpUrl?: string | undefined;
}

export const sendsMail = ({ mail, smtpUrl }: MailOptions): boolean => Boolean(mail ?? smtpUrl);

/** The same for a notice: without mail in the application nothing is stored, for nobody would ever take it away. */
export async function notifyByMail(
  connection: Connection,
  session: ClientSession,
  notice: MailRequest,
  options: MailOptions,
): Promise<void> {
  if (sendsMail(options)) await enqueueMail(connection, session, notice);
}

/** For what makes no sense without mail; throws a TypeError that says what to do. */
export function needMail(service: string, options: MailOptions): void {
  if (!sendsMail(options)) throw new TypeError(`${service}(): needs mail; give the option mail or smtpUrl`);
}
