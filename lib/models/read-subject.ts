import type { Connection } from 'mongoose';
import { idText } from '../runtime/ids.js';
import { checkSubject, type Subject } from '../runtime/subject.js';
import { hasObjectIds } from './user-id.js';

const capitals = /[A-F]/;

/**
 * The subject that somebody names, with the one text of its id: an id of ours in capitals names the same organization, team or user, and
 * whoever passes on what a client has written must not have two counters of one subject. Ids of the application's own, which its users may
 * have, stay as they are.
 *
 * @throws {TypeError} when it is no subject
 */
export function readSubject(connection: Connection, subject: Subject): Subject {
  checkSubject(subject);
  const { type, id } = subject;
  if (id.length !== 24 || !capitals.test(id)) return subject;
  return type === 'user' && !hasObjectIds(connection) ? subject : { type, id: idText(id) };
}
