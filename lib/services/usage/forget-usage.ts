import type { ClientSession, Connection } from 'mongoose';
import { Denials } from '../../models/denial.js';
import { Grants } from '../../models/grant.js';
import { Reservations } from '../../models/reservation.js';
import { Thresholds } from '../../models/threshold.js';
import { Usage } from '../../models/usage.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';

/** Deletes all that was counted of a subject, held for it and given to it. */
export async function forgetUsage(
  connection: Connection,
  subject: Subject,
  session: ClientSession | null,
): Promise<void> {
  const who = { 'subject.type': subject.type, 'subject.id': subject.id };
  const key = { subject: subjectKey(subject) };
  const within = session ? { session } : {};
  await Grants(connection).deleteMany(who, within);
  await Reservations(connection).deleteMany(who, within);
  await Denials(connection).deleteMany(key, within);
  await Thresholds(connection).deleteMany(key, within);
  await Usage(connection).deleteAllOf(subjectKey(subject), session);
}
