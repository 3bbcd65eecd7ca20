import { syncPlans } from 'koa-tollgate';
import type { Connection } from 'mongoose';
import { check, type Finding, inexact } from './check.js';
import { largest, type Outcome } from './consume.js';
import { Consumers } from './consumers.js';
import { type Disturbed, disturb } from './disturb.js';
import { randomOf } from './random.js';
import { watchLimits } from './watch.js';

export interface Round {
  readonly uri: string;
  /** To the database that the processes consume in, which has no counters yet. */
  readonly connection: Connection;
  readonly processes: number;
  /** Of each process. */
  readonly inFlight: number;
  /** At least so many are asked for. */
  readonly consumptions: number;
  readonly keys: number;
  readonly seed: number;
  /** Whether processes are killed, limits changed and periods ended meanwhile. */
  readonly disturbed: boolean;
  /** Modules that each process loads before anything else, by its number. */
  readonly importsOf?: (index: number) => readonly string[];
}

export interface Result extends Finding, Disturbed {
  readonly seconds: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly requests: number;
  readonly commands: number;
  readonly killed: number;
}

/** Lets processes consume, and says what is wrong with the totals. Undisturbed they have to be exact. */
export async function runRound(round: Round): Promise<Result> {
  const { uri, connection, inFlight, keys, seed, consumptions } = round;
  const random = randomOf(seed);
  const small = Math.ceil((consumptions * largest) / 100); // so that the busiest counters are used up
  const features = (limit: number) => ({ units: { limit, per: 'lifetime' } }) as const;
  await syncPlans({
    connection,
    plans: {
      small: { name: 'Small', tier: 0, default: true, features: features(small) },
      large: { name: 'Large', tier: 1, features: features(small * 3) },
    },
  });
  const consumers = new Consumers({ uri, dbName: connection.name, keys, inFlight, seed });
  try {
    return await observe(round, consumers, random, small * 3);
  } finally {
    consumers.end();
  }
}

async function observe(
  round: Round,
  consumers: Consumers,
  random: () => number,
  most: number,
): Promise<Result> {
  const { connection, processes, keys, consumptions, importsOf } = round;
  await Promise.all(Array.from({ length: processes }, (_, index) => consumers.start(importsOf?.(index))));
  const [begun, before] = [performance.now(), consumers.requests];
  let ended = false;
  const isOver = () => ended || consumers.requests - before >= consumptions;
  const watched = watchLimits(connection, () => ended);
  const disturbed = round.disturbed
    ? await disturb({ connection, consumers, consumptions, keys, random, isOver })
    : await until(isOver);
  const seconds = (performance.now() - begun) / 1_000;
  const requests = consumers.requests - before;
  await consumers.stop();
  ended = true;
  const finding = await check(connection, consumers.ledger, most);
  const { outcomes, commands, killed, failures } = consumers;
  const violations = [...failures, ...finding.violations, ...(await watched)];
  if (!round.disturbed) violations.push(...inexact({ ...finding, outcomes }));
  return { ...finding, ...disturbed, violations, seconds, outcomes, requests, commands, killed };
}

async function until(isOver: () => boolean): Promise<Disturbed> {
  while (!isOver()) await new Promise((resolve) => setTimeout(resolve, 10));
  return { planChanges: 0, refusedChanges: 0, turns: 0 };
}
