import type { Connection } from 'mongoose';
import { Subscriptions } from '../../models/subscription.js';
import { database } from '../../runtime/database.js';
import { withoutPlan } from './cancel-plan.js';
import { changeSubscription } from './change-subscription.js';
import { operate } from './operate.js';

/** Subscriptions that are looked for by one command. */
const batch = 1_000;

/**
 * Takes the plans away that have ended by the database's clock, as of `now`. Whoever had one is on the default plan since then: every read
 * judges the end itself.
 *
 * @returns how many there were
 */
export async function expirePlans(connection: Connection, now: Date): Promise<number> {
  const over = { expiresAt: { $lte: now } };
  for (let count = 0; ; ) {
    const found = await database(() =>
      Subscriptions(connection).find(over, { subject: 1, plan: 1 }).limit(batch).lean(),
    );
    for (const { subject, plan } of found) {
      if (!subject) continue;
      const expired = { update: { $set: withoutPlan }, only: over }; // not one that was prolonged meanwhile
      const isExpired = await operate({ subject, connection }, async (connection, session) => {
        const done = await changeSubscription(connection, session, subject, expired);
        return done ? { action: 'plan.expired', details: { plan } } : null;
      });
      if (isExpired) count += 1;
    }
    if (found.length < batch) return count;
  }
}
