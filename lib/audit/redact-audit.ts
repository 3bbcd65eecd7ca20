import type { Connection } from 'mongoose';
import { AuditEntries } from '../models/audit-entry.js';
import { Erasures } from '../models/erasure.js';
import { database } from '../runtime/database.js';

/** Entries that are redacted by one command. */
const batch = 1_000;

/**
 * Takes everything personal out of the audit log's entries about users who were erased: addresses, user agents and details. That
 * something was done, when, and by which id stays, and so do its digest and MAC: with the salt gone the digest tells nothing. Can be
 * stopped at any line and begun again.
 */
export async function redactErased(connection: Connection): Promise<number> {
  const erased = await database(() =>
    Erasures(connection)
      .find({ _id: { $gt: '' } })
      .limit(batch)
      .lean(),
  );
  for (const { _id } of erased) {
    const all = { ip: 1, userAgent: 1, salt: 1 } as const;
    const about = { 'target.id': _id, 'target.type': 'user' };
    await redact(connection, { actor: _id }, all);
    await redact(connection, { ...about, actor: null }, all); // nobody signed in: it may have been that user
    await redact(connection, about, { salt: 1 });
    await database(() => Erasures(connection).deleteOne({ _id }));
  }
  return erased.length;
}

/** Of what others did to the user their own address stays: an administrator must not cover tracks by an erasure. */
async function redact(
  connection: Connection,
  about: Record<string, string | null>,
  $unset: Record<string, 1>,
): Promise<void> {
  const entries = AuditEntries(connection);
  for (;;) {
    const personal = { ...about, redacted: { $ne: true } };
    const found = await database(() => entries.find(personal, { _id: 1 }).limit(batch).lean());
    if (found.length === 0) return;
    const ids = found.map(({ _id }) => _id);
    const without = { $unset, $set: { details: {}, redacted: true } };
    await database(() => entries.updateMany({ _id: { $in: ids } }, without));
  }
}
