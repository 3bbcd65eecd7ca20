import type { ClientSession, Connection } from 'mongoose';
import { type MailOptions, notifyByMail } from './enqueue-mail.js';

/** What was done to which way of signing in of whom. */
export interface CredentialNotice {
  readonly to: string;
  readonly change: 'added' | 'removed';
  /** As the mail calls it, such as `a passkey`; our words alone, or the name of a provider. */
  readonly credential: string;
}

/**
 * Tells a user, in the transaction of the change, that there is another way to sign in to their account, or one less (OWASP ASVS 6.3.7):
 * whoever did it may not have been them.
 */
export const notifyCredential = (
  connection: Connection,
  session: ClientSession,
  { to, change, credential }: CredentialNotice,
  options: MailOptions,
): Promise<void> =>
  notifyByMail(connection, session, { kind: `credential-${change}`, to, data: { credential } }, options);
