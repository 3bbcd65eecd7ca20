import type { Connection } from 'mongoose';
import { type Take, type Taken, take as takeNow } from '../../quota/combiner.js';
import { returnExpiredOf } from '../reservations/return-expired.js';

/**
 * Takes units of a counter, all or nothing. Where there are not enough, what expired reservations hold goes back first: that is looked
 * for once a second.
 */
export async function take(connection: Connection, request: Take): Promise<Taken> {
  const taken = await takeNow(connection, request);
  if (taken.granted || request.amount < 0) return taken;
  const returned = await returnExpiredOf(connection, request.key).catch(() => 0); // the worker comes, too
  return returned > 0 ? takeNow(connection, request) : taken;
}
