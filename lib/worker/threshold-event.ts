import type { StoredThreshold } from '../models/threshold.js';
import { periodEnd } from '../models/usage.js';
import type { Subject } from '../runtime/subject.js';

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

export function asEvent({
  subject,
  feature,
  threshold,
  used,
  limit,
  from,
  to,
}: StoredThreshold): ThresholdEvent {
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
