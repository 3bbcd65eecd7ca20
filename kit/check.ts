import { Usage } from 'koa-tollgate';
import type { Connection } from 'mongoose';
import { feature, type Outcome } from './consume.js';
import type { Ledger } from './ledger.js';

export interface Finding {
  /** Units that the database has counted. */
  readonly counted: number;
  /** Units that consumers were granted and have not given back. */
  readonly granted: number;
  /** Counted, but granted to nobody. */
  readonly leaked: number;
  /** More than this cannot have leaked: it was in flight, or given back after the end of its period. */
  readonly explained: number;
  /** What is wrong, in words. */
  readonly violations: readonly string[];
}

/** Holds what was granted against what was counted, counter by counter and period by period. */
export async function check(connection: Connection, ledger: Ledger, limit: number): Promise<Finding> {
  const violations: string[] = [];
  const periods = await countedIn(connection);
  let [granted, explained] = [0, ledger.open];
  for (const { counter, from, units, back } of ledger.sums()) {
    const period = periods.get(counter)?.get(from);
    granted += units;
    if (units > (period?.units ?? 0))
      violations.push(`${counter}: ${units} granted, ${period?.units ?? 0} counted since ${new Date(from)}`);
    if (!period?.isCurrent) explained += back;
  }
  let counted = 0;
  for (const [counter, each] of periods)
    for (const { units } of each.values()) {
      counted += units;
      if (units > limit) violations.push(`${counter}: ${units} counted, more than any plan allows`);
    }
  const leaked = counted - granted;
  if (leaked > explained) violations.push(`${leaked} units leaked, of which ${explained} may have`);
  return { counted, granted, leaked, explained, violations };
}

/**
 * What is wrong where nothing was disturbed: then the totals are equal to the unit. Of consumptions whose outcome nobody knows there is no
 * more than `share`; more of them would leave nothing to be said.
 */
export function inexact(
  { outcomes, leaked }: Pick<Finding, 'leaked'> & { readonly outcomes: Readonly<Record<Outcome, number>> },
  share = 0.01,
): string[] {
  const total = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  if (outcomes.unknown > total * share)
    return [`${outcomes.unknown} of ${total} consumptions have no known outcome: too many to tell anything`];
  if (outcomes.unknown > 0 || leaked === 0) return [];
  return [`${leaked} units leaked where nothing crashed`];
}

interface Period {
  units: number;
  isCurrent: boolean;
}

/** By counter and beginning of the period. */
async function countedIn(connection: Connection): Promise<Map<string, Map<number, Period>>> {
  const rows = await Usage(connection)
    .find({ '_id.f': feature, from: { $exists: true } }, { u: 1, from: 1, past: 1 })
    .read('primary')
    .lean();
  return new Map(
    rows.map(({ _id, u, from, past }) => {
      const periods = new Map<number, Period>();
      const add = (at: Date, units: number, isCurrent: boolean) => {
        const known = periods.get(at.getTime())?.units ?? 0;
        periods.set(at.getTime(), { units: known + units, isCurrent });
      };
      for (const period of past ?? []) add(period.from, period.u, false);
      add(from, u, true);
      return [_id.s, periods] as [string, Map<number, Period>];
    }),
  );
}
