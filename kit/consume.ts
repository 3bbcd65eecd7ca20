import { setImmediate } from 'node:timers/promises';
import { consumeQuota, isTollgateError, refundQuota } from 'koa-tollgate';
import type { Connection } from 'mongoose';
import type { Entry } from './ledger.js';
import { zipf } from './random.js';

export const feature = 'units';
/** Units that one consumption takes at most. */
export const largest = 5;

export interface Load {
  readonly connection: Connection;
  /** Counters, of which some are asked for much more often than others. */
  readonly keys: number;
  /** Consumptions at the same time. */
  readonly inFlight: number;
  readonly random: () => number;
  /** Tells what was granted, or will be given back. Nothing else happens for that consumption until it resolves. */
  readonly note: (entry: Entry) => Promise<void> | void;
  readonly met: (outcome: Outcome, units: number) => void;
  readonly isOver: () => boolean;
}

/** `unknown`: the units may have been counted. */
export type Outcome = 'granted' | 'denied' | 'refused' | 'unknown';

export const subjectOf = (key: number) => ({ type: 'user', id: `kit-${key}` }) as const;
export const counterOf = (key: number) => `user:kit-${key}`;

/** Consumes through the public functions, mixed amounts of many counters, and gives some of it back, until it is over. */
export async function consume(load: Load): Promise<void> {
  const pick = zipf(load.keys, load.random);
  const one = async () => {
    while (!load.isOver()) {
      const outcome = await consumeOnce(load, pick());
      if (outcome !== 'granted') await setImmediate(); // a refusal from memory takes no turn of the event loop
    }
  };
  await Promise.all(Array.from({ length: load.inFlight }, one));
}

async function consumeOnce({ connection, random, note, met }: Load, key: number): Promise<Outcome> {
  const amount = 1 + Math.floor(random() * largest);
  const [subject, counter] = [subjectOf(key), counterOf(key)];
  let open = amount;
  try {
    const state = await consumeQuota({ connection, subject, feature, amount });
    met('granted', amount);
    open = 0;
    const from = state.startedAt.getTime();
    await note([counter, from, amount]);
    if (random() < 0.1) {
      open = 1 + Math.floor(random() * amount);
      await note([counter, from, -open]); // first, so that a crash in between leaves too much counted
      await refundQuota({ connection, subject, state, amount: open });
    }
    return 'granted';
  } catch (error) {
    const outcome = outcomeOf(error);
    met(outcome, open);
    return outcome;
  }
}

function outcomeOf(error: unknown): Outcome {
  if (isTollgateError(error, 'quota_exceeded')) return 'denied';
  if (isTollgateError(error, 'overloaded')) return 'refused';
  if (isTollgateError(error, 'database_unavailable')) return 'unknown';
  throw error;
}
