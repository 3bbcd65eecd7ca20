import type { ClientSession, Connection } from 'mongoose';
import { readSubject } from '../models/read-subject.js';
import { changed } from '../models/revocation.js';
import { opened } from '../runtime/connection.js';
import { type Subject, subjectKey } from '../runtime/subject.js';
import { transaction } from '../runtime/transaction.js';

export interface AnnounceChange {
  /** Whose user, membership, team or plan the application has changed by writing to the collections itself. */
  readonly subjects: readonly [Subject, ...Subject[]];
  /** The transaction of the change; without one, call this after the change. */
  readonly session?: ClientSession | undefined;
  readonly connection?: Connection | undefined;
}

/**
 * Makes every process forget what it remembers of `subjects`, so that a change which the application itself has written counts:
 * roles or status of a user, a membership (of its user), an organization or a team.
 *
 * @throws {TypeError} when a subject is none
 * @throws {TollgateError} `database_unavailable` (503)
 * @example await announceChange({ subjects: [{ type: 'user', id: user.id }] });
 */
export async function announceChange({ subjects, session, ...rest }: AnnounceChange): Promise<void> {
  const connection = opened(rest.connection);
  const keys = subjects.map((subject) => subjectKey(readSubject(connection, subject)));
  const [first, ...more] = keys as [string, ...string[]];
  if (session) await changed(connection, session, first, ...more);
  else await transaction(connection, (own) => changed(connection, own, first, ...more));
}
