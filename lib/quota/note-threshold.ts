import { LRUCache } from 'lru-cache';
import type { Connection } from 'mongoose';
import { Thresholds, thresholds } from '../models/threshold.js';
import { endOfTime, type UsageKey } from '../models/usage.js';
import { database } from '../runtime/database.js';
import { perConnection } from '../runtime/per-connection.js';
import { Backlog } from './backlog.js';
import type { Outcome } from './batch.js';
import { nameOf } from './sender.js';

/** A day, in milliseconds: a process that was slow finds the note of another still there. */
const day = 86_400_000;

interface Reached extends Pick<Outcome, 'used' | 'limit' | 'from' | 'to'> {
  readonly remaining: number | null;
  readonly at: Date;
}

interface Noted extends Reached {
  readonly key: UsageKey;
  readonly threshold: number;
}

/**
 * Which thresholds this process has noted, by counter and period. What counts is where a counter stands, not that this very batch has
 * crossed: where batches of several processes overlap, none may have seen the step.
 */
class Levels {
  readonly #noted = new LRUCache<string, { readonly from: number; readonly level: number }>({ max: 50_000 });
  readonly #backlog: Backlog<Noted>;

  constructor(connection: Connection) {
    this.#backlog = new Backlog(20, thresholds.length, async (noted) => {
      const reached = noted.flat();
      try {
        await database(() => Thresholds(connection).insertMany(reached.map(asRow), { ordered: false }));
      } catch (error) {
        if ((error as { code?: unknown }).code === 11_000) return; // another process was first
        for (const { key } of reached) this.#noted.delete(nameOf(key)); // the next batch tries again
      }
    });
  }

  note(key: UsageKey, reached: Reached): void {
    const { used, remaining, from } = reached;
    if (remaining === null || used < remaining * 4) return; // below 80 %
    const level = remaining === 0 ? 100 : 80;
    const name = nameOf(key);
    const last = this.#noted.get(name);
    const before = last?.from === from.getTime() ? last.level : 0;
    if (level <= before || used === 0) return;
    this.#noted.set(name, { from: from.getTime(), level });
    for (const threshold of thresholds)
      if (threshold > before && threshold <= level) this.#backlog.add(name, { ...reached, key, threshold });
  }
}

const asRow = ({ key: { s, f }, threshold, used, limit, from, to, at }: Noted) => ({
  subject: s,
  feature: f,
  threshold,
  used,
  limit,
  from,
  to,
  at,
  purgeAt: to < endOfTime ? new Date(to.getTime() + day) : null,
});

const levels = perConnection((connection) => new Levels(connection));

/** Notes once, by the database, that a counter has reached 80 or 100 per cent in its period. Nobody waits for it. */
export const noteThreshold = (connection: Connection, key: UsageKey, reached: Reached): void =>
  levels(connection).note(key, reached);
