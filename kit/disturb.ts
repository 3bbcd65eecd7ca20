import { setTimeout } from 'node:timers/promises';
import { assignPlan, isTollgateError, Usage } from 'koa-tollgate';
import type { Connection } from 'mongoose';
import { counterOf, feature, subjectOf } from './consume.js';
import type { Consumers } from './consumers.js';

export interface Disturbance {
  readonly connection: Connection;
  readonly consumers: Consumers;
  readonly consumptions: number;
  readonly keys: number;
  readonly random: () => number;
  readonly isOver: () => boolean;
}

export interface Disturbed {
  planChanges: number;
  /** Changes of plans that were answered 503. */
  refusedChanges: number;
  turns: number;
}

/** Processes that are killed, at most. */
const kills = 6;
/** A counter remembers 24 periods: more turns of one would leave nothing to hold its grants against. */
const turnsOfOne = 20;

/** Kills processes and starts others, moves subjects between plans, and lets periods end, until it is over. */
export async function disturb(work: Disturbance): Promise<Disturbed> {
  const done = { planChanges: 0, refusedChanges: 0, turns: 0 };
  const turned = new Map<number, number>();
  const repeat = async (pause: number, act: () => Promise<void>) => {
    while (!work.isOver()) {
      await setTimeout(work.random() * 2 * pause);
      if (!work.isOver()) await act();
    }
  };
  const begun = work.consumers.requests;
  const { connection, consumers, consumptions, keys, random } = work;
  const pick = () => Math.floor(random() ** 3 * keys); // the busy ones more often
  await Promise.all([
    repeat(10, async () => {
      if (consumers.requests - begun < ((consumers.killed + random()) * consumptions) / kills) return;
      await consumers.kill(Math.floor(random() * 1_000));
      await consumers.start();
    }),
    repeat(100, async () => {
      const plan = random() < 0.5 ? 'small' : 'large';
      const changed = await assignPlan({ connection, subject: subjectOf(pick()), plan }).catch(unlessBusy);
      if (changed === 'busy') done.refusedChanges += 1;
      else done.planChanges += 1;
    }),
    repeat(50, async () => {
      const key = pick();
      const times = (turned.get(key) ?? 0) + 1;
      if (times > turnsOfOne) return;
      turned.set(key, times);
      done.turns += await endPeriod(connection, key);
    }),
  ]);
  return done;
}

/** Ends a counter's period, if it has begun, as time does: the next write begins another. Gives how many it has ended. */
export async function endPeriod(connection: Connection, key: number): Promise<number> {
  const begun = { from: { $exists: true }, $expr: { $lt: ['$from', '$$NOW'] } };
  const counter = { _id: { s: counterOf(key), f: feature }, ...begun };
  const { modifiedCount } = await Usage(connection).collection.updateOne(counter as never, [
    { $set: { to: '$$NOW' } },
  ]);
  return modifiedCount;
}

/** A machine may be too slow to answer in time: that is no concern of the kit. */
function unlessBusy(error: unknown): 'busy' {
  if (isTollgateError(error, 'database_unavailable')) return 'busy';
  throw error;
}
