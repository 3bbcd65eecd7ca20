import type { Connection } from 'mongoose';
import { check, type Finding } from '../../kit/check.js';
import { consume, counterOf, type Desk, feature, type Outcome } from '../../kit/consume.js';
import { endPeriod } from '../../kit/disturb.js';
import { randomOf } from '../../kit/random.js';
import { refuse } from '../../lib/errors.js';
import type { Terms } from '../../lib/quota/batch.js';
import { take } from '../../lib/quota/combiner.js';
import { lockCounters, retune } from '../../lib/quota/counters.js';
import { transaction } from '../../lib/runtime/transaction.js';
import { tally } from './tally.js';
import { witness } from './witness.js';

export interface Storm {
  /** Each stands for a process: it has a combiner, and a view of the entitlements, of its own. */
  readonly connections: readonly Connection[];
  /** One that no fault meets. */
  readonly sound: Connection;
  readonly consumptions: number;
  readonly seed: number;
  readonly keys?: number;
  readonly inFlight?: number;
  /** Done again and again until the end. */
  readonly fault?: () => Promise<void>;
}

export interface Weathered extends Finding {
  readonly outcomes: Record<Outcome, number>;
  /** Single writes of counters, each of which was looked at. */
  readonly writes: number;
  readonly changes: Changes;
}

/** Changes of limits; a busy database refuses some. */
export interface Changes {
  done: number;
  refused: number;
}

const [smallest, most] = [200, 5_000];

/**
 * Lets many consumptions meet, while limits change, periods end and whatever `fault` does, and says what is wrong with the totals and with any single write.
 *
 * Who changes a limit tells the other processes some time later, so that stale ones are always among them.
 */
export async function weather(storm: Storm): Promise<Weathered> {
  const { connections, sound, consumptions, seed, keys = 6, inFlight = 256 } = storm;
  const { ledger, outcomes, isOver, note, met } = tally(consumptions);
  const views = connections.map(() => new Map<number, Terms>());
  const random = randomOf(seed);
  const changes: Changes = { done: 0, refused: 0 };
  const versions = new Map<number, number>();
  const watching = await witness(sound);
  await Promise.all([
    ...connections.map((connection, index) => {
      const desk = deskOf(connection, (key) => views[index]?.get(key) ?? firstTerms);
      return consume({ desk, keys, inFlight, random: randomOf(seed + index + 1), note, met, isOver });
    }),
    repeat(isOver, () => changeLimit(sound, views, versions, Math.floor(random() * keys), random, changes)),
    repeat(isOver, () => endPeriods(sound, keys, random)),
    storm.fault ? repeat(isOver, storm.fault) : undefined,
  ]);
  const seen = await watching();
  const finding = await check(sound, ledger, Number.POSITIVE_INFINITY); // each write was held against the limit in force
  const violations = [...finding.violations, ...seen.violations];
  return { ...finding, violations, outcomes, writes: seen.writes, changes };
}

const firstTerms: Terms = { limit: 1_000, per: 'lifetime', version: 1 };

const deskOf = (
  connection: Connection,
  termsOf: (key: number) => Terms,
): Desk<{ readonly startedAt: Date }> => ({
  async take(key, amount) {
    const request = { key: { s: counterOf(key), f: feature }, terms: termsOf(key), amount };
    const { granted, from: startedAt } = await take(connection, request);
    if (!granted) throw refuse('quota_exceeded');
    return { startedAt };
  },
  async giveBack(key, { startedAt: from }, amount) {
    const id = { s: counterOf(key), f: feature };
    return (await take(connection, { key: id, terms: termsOf(key), amount: -amount, from })).granted;
  },
});

async function repeat(isOver: () => boolean, act: () => Promise<unknown>): Promise<void> {
  while (!isOver()) {
    await act();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function changeLimit(
  sound: Connection,
  views: readonly Map<number, Terms>[],
  versions: Map<number, number>,
  key: number,
  random: () => number,
  changes: Changes,
): Promise<void> {
  const version = (versions.get(key) ?? firstTerms.version) + 1; // none comes twice, whoever has heard of it
  versions.set(key, version);
  const limit = random() < 0.05 ? null : Math.floor(smallest + random() * (most - smallest));
  const subject = { type: 'user', id: counterOf(key).slice('user:'.length) } as const;
  const terms = { limit, per: 'lifetime', version } as const;
  const outcome = await transaction(sound, async (session) => {
    await lockCounters(sound, session, subject);
    await retune(sound, session, { subject, version, terms: new Map([[feature, terms]]) });
  }).then(
    () => 'done' as const,
    () => 'refused' as const, // in the course of an election, or for want of time; others may hear of it all the same
  );
  changes[outcome] += 1;
  views.forEach((view) => {
    setTimeout(() => {
      const known = view.get(key)?.version ?? 0;
      if (known < version) view.set(key, terms);
    }, random() * 50);
  });
}

const turned = new WeakMap<Connection, number>();

/** Ends the period of every counter that has begun one, as time does; no oftener than a counter remembers. */
async function endPeriods(sound: Connection, keys: number, random: () => number): Promise<void> {
  const times = turned.get(sound) ?? 0;
  if (times >= 20 || random() > 0.05) return;
  turned.set(sound, times + 1);
  for (let key = 0; key < keys; key += 1) await endPeriod(sound, key).catch(() => {});
}
