import { setImmediate } from 'node:timers/promises';
import { consumeQuota, isTollgateError, type QuotaState, refundQuota } from 'koa-tollgate';
import type { Connection } from 'mongoose';
import type { Entry } from './ledger.js';
import { zipf } from './random.js';

export const feature = 'units';
/** Units that one consumption takes at most. */
export const largest = 5;

/** How units are taken and given back. */
export interface Desk<State extends { readonly startedAt: Date }> {
  take(key: number, amount: number): Promise<State>;
  /** Says, where that is known, whether the units went back: not so when their period is over. */
  giveBack(key: number, state: State, amount: number): Promise<boolean | undefined>;
}

/** By the public functions. */
export const publicDesk = (connection: Connection): Desk<QuotaState> => ({
  take: (key, amount) => consumeQuota({ connection, subject: subjectOf(key), feature, amount }),
  async giveBack(key, state, amount) {
    await refundQuota({ connection, subject: subjectOf(key), state, amount });
    return undefined;
  },
});

export interface Load<State extends { readonly startedAt: Date }> {
  readonly desk: Desk<State>;
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

/** Consumes mixed amounts of many counters, and gives some of it back, until it is over. */
export async function consume<State extends { readonly startedAt: Date }>(load: Load<State>): Promise<void> {
  const pick = zipf(load.keys, load.random);
  const one = async () => {
    while (!load.isOver()) {
      const outcome = await consumeOnce(load, pick());
      if (outcome !== 'granted') await setImmediate(); // a refusal from memory takes no turn of the event loop
    }
  };
  await Promise.all(Array.from({ length: load.inFlight }, one));
}

async function consumeOnce<State extends { readonly startedAt: Date }>(
  { desk, random, note, met }: Load<State>,
  key: number,
): Promise<Outcome> {
  const amount = 1 + Math.floor(random() * largest);
  const counter = counterOf(key);
  let open = amount;
  try {
    const state = await desk.take(key, amount);
    met('granted', amount);
    open = 0;
    const from = state.startedAt.getTime();
    await note([counter, from, amount]);
    if (random() < 0.1) {
      open = 1 + Math.floor(random() * amount);
      await note([counter, from, -open]); // first, so that a crash in between leaves too much counted
      const went = await desk.giveBack(key, state, open);
      if (went === false) await note([counter, from, open, 'came late']);
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
