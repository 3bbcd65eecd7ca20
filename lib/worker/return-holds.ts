import type { Connection } from 'mongoose';
import { returnExpired } from '../services/reservations/return-expired.js';
import { keepDoing } from './keep-doing.js';

/** Milliseconds between two looks. */
const pause = 60_000;

/** Gives back what expired reservations hold, each minute, until it is stopped. */
export function keepReturning(
  connection: Connection,
  onError: (error: unknown) => void,
): { stop(): Promise<void> } {
  return keepDoing(async () => {
    await returnExpired(connection).catch(onError);
    return pause;
  });
}
