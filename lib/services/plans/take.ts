import type { Connection } from 'mongoose';
import { take as takeNow } from '../../quota/combiner.js';
import type { Take, Taken } from '../../quota/taken.js';
import { returnExpiredOf } from '../reservations/return-expired.js';

/**
 * Takes units of a counter, all or nothing. Where there are not enough, what expired reservations hold goes back first: that is looked
 * for once a second.
 */
export async function take(
  connection: Connection,
  request: Take,
  how: (request: Take) => Promise<Taken> = (request) => takeNow(connection, request),
): Promise<Taken> {
  const taken = await how(request);
  if (taken.granted || request.amount < 0) return taken;
  return (await hasReturned(connection, request)) ? how(request) : taken;
}

/** Gives back what expired reservations hold; true: there was something. */
export async function hasReturned(connection: Connection, { key }: Take): Promise<boolean> {
  const returned = await returnExpiredOf(connection, key).catch(() => 0); // the worker comes, too
  return returned > 0;
}
