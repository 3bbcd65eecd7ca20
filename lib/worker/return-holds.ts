import { setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { returnExpired } from '../services/reservations/return-expired.js';

/** Milliseconds between two looks. */
const pause = 60_000;

/** Gives back what expired reservations hold, each minute, until it is stopped. */
export function keepReturning(
  connection: Connection,
  onError: (error: unknown) => void,
): { stop(): Promise<void> } {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running = run();

  async function run(): Promise<void> {
    await returnExpired(connection).catch(onError);
    if (stopped) return;
    timer = setTimeout(() => {
      running = run();
    }, pause);
  }

  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
