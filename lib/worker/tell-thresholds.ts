import type { Connection } from 'mongoose';
import { type StoredThreshold, Thresholds } from '../models/threshold.js';
import { periodEnd } from '../models/usage.js';
import { database } from '../runtime/database.js';
import type { Subject } from '../runtime/subject.js';
import { keepDoing } from './keep-doing.js';

/** That a subject has used 80 or 100 per cent of what it may use of a feature in a period. */
export interface ThresholdEvent {
  readonly subject: Subject;
  readonly feature: string;
  /** Per cent. */
  readonly threshold: 80 | 100;
  readonly used: number;
  /** Units a period, by the plan. */
  readonly limit: number | null;
  readonly startedAt: Date;
  /** When the period ends; null: never. */
  readonly resetsAt: Date | null;
}

export interface ThresholdOptions {
  readonly connection: Connection;
  readonly onThreshold: (event: ThresholdEvent) => unknown;
  readonly onError: (error: unknown) => void;
}

/** Milliseconds between two looks. */
const pause = 2_000;

/** Tells of each threshold that is reached, once in all processes, until it is stopped. */
export function followThresholds(options: ThresholdOptions): { stop(): Promise<void> } {
  return keepDoing(async (isStopped) => {
    try {
      while (!isStopped() && (await tell(options)));
    } catch (error) {
      options.onError(error);
    }
    return pause;
  });
}

/** Taken first and told then: at most once, also when the process ends in between. */
async function tell({ connection, onThreshold, onError }: ThresholdOptions): Promise<boolean> {
  const row = await database(() => Thresholds(connection).take());
  if (!row) return false;
  try {
    await onThreshold(asEvent(row));
  } catch (error) {
    onError(error);
  }
  return true;
}

function asEvent({ subject, feature, threshold, used, limit, from, to }: StoredThreshold): ThresholdEvent {
  const [type, ...id] = subject.split(':');
  const who = { type: type as Subject['type'], id: id.join(':') };
  const period = { startedAt: from, resetsAt: periodEnd({ to }) };
  return Object.freeze({
    subject: who,
    feature,
    threshold: threshold as 80 | 100,
    used,
    limit: limit ?? null,
    ...period,
  });
}
