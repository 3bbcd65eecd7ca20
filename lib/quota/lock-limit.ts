import type { ClientSession, Connection } from 'mongoose';
import { endOfTime, Usage, type UsageKey } from '../models/usage.js';

/** No code of a feature begins so. */
const mark = '=';

/** True for what guards a static limit, and counts nothing that is used. */
export const isLimitLock = ({ f }: UsageKey): boolean => f.startsWith(mark);

/**
 * Lets the transactions that add to what a static limit bounds follow one another: each counts itself first, so that of two at the same
 * time one has to begin anew, and then sees what the other has added.
 */
export async function lockLimit(
  connection: Connection,
  session: ClientSession,
  { s, f }: UsageKey,
): Promise<void> {
  const born = { from: new Date(0), to: endOfTime, lim: null, lv: 0 };
  await Usage(connection).collection.updateOne(
    { _id: { s, f: `${mark}${f}` } } as object,
    { $inc: { u: 1 }, $setOnInsert: born },
    { upsert: true, session },
  );
}
