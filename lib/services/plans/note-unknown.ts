import { LRUCache } from 'lru-cache';
import type { Connection } from 'mongoose';
import { recordAudit } from '../../audit/record-audit.js';
import { Budgets } from '../../models/budget.js';
import { database } from '../../runtime/database.js';
import { perConnection } from '../../runtime/per-connection.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { catalogue } from './catalogue.js';

/** Seconds in which one entry is made for a subject and a feature. */
const span = 3_600;

/** What this process has asked about within the span, so that it does not ask again for every request. */
const asked = perConnection(() => new LRUCache<string, true>({ max: 10_000, ttl: span * 1_000 }));

/**
 * Makes an audit entry of each of `codes` that no plan has: a guard is misspelt, or its plan was never stored. One an hour for a
 * subject and a feature, however many requests and processes come upon it.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 */
export async function noteUnknown(
  connection: Connection,
  subject: Subject,
  codes: readonly string[],
): Promise<void> {
  const plans = await catalogue(connection);
  for (const feature of codes.filter((code) => !plans.has(code))) {
    const key = JSON.stringify(['unknown-feature', subjectKey(subject), feature]);
    if (asked(connection).has(key)) continue;
    if (await isFirst(connection, key)) {
      const entry = { action: 'entitlement.unknown', target: subject, details: { feature } };
      await recordAudit({ connection, ...entry });
    }
    asked(connection).set(key, true);
  }
}

/** True for one who asks in the span, by the database's clock. */
async function isFirst(connection: Connection, key: string): Promise<boolean> {
  const once = { key, points: 1, seconds: span };
  const { admitted } = await database(() => Budgets(connection).hold(once));
  if (admitted) await database(() => Budgets(connection).spend(once));
  return admitted;
}
