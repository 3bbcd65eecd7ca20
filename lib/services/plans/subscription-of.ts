import { type SubscriptionNow, Subscriptions } from '../../models/subscription.js';
import { inBulk } from '../../runtime/in-bulk.js';
import { perConnection } from '../../runtime/per-connection.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';

/**
 * Finds the subscription of a subject as the database has it now. Subjects that are asked for together are read by one command for each type of
 * subject: when a plan changes, everybody's is read anew.
 *
 * @throws {TollgateError} `overloaded` (503) when it was not sent within 1.5 s, `database_unavailable` (503)
 */
export const subscriptionOf = perConnection((connection) =>
  inBulk<Subject, SubscriptionNow | undefined>(async (subjects) => {
    const types = [...new Set(subjects.map(({ type }) => type))];
    const read = types.map((each) => {
      const ids = subjects.filter(({ type }) => type === each).map(({ id }) => id);
      return Subscriptions(connection).now(each, [...new Set(ids)]);
    });
    const found = (await Promise.all(read)).flat();
    const byKey = new Map(found.map((subscription) => [subjectKey(subscription.subject), subscription]));
    return subjects.map((subject) => byKey.get(subjectKey(subject)));
  }),
);
