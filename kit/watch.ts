import { setTimeout } from 'node:timers/promises';
import { Usage } from 'koa-tollgate';
import type { Connection } from 'mongoose';

/**
 * Looks at all counters again and again, until it is over: none rises above the limit that is in force. Within one version of the
 * entitlements the limit is the same, so that two looks suffice to tell; a limit that shrinks below what is used is no rise.
 */
export async function watchLimits(connection: Connection, isOver: () => boolean): Promise<string[]> {
  const violations: string[] = [];
  let before = new Map<string, Row>();
  for (let last = false; !last; await setTimeout(100)) {
    last = isOver();
    const rows = await look(connection);
    for (const row of rows) {
      const then = before.get(row._id.s);
      const rose = then?.lv === row.lv && then.from?.getTime() === row.from?.getTime() && row.u > then.u;
      if (rose && row.lim !== null && row.u > row.lim)
        violations.push(`${row._id.s}: rose to ${row.u} above its limit of ${row.lim}`);
    }
    before = new Map(rows.map((row) => [row._id.s, row]));
  }
  return violations;
}

interface Row {
  readonly _id: { readonly s: string };
  readonly u: number;
  readonly lim: number | null;
  readonly lv: number;
  /** Not there before the first use. */
  readonly from?: Date;
}

const look = (connection: Connection) =>
  Usage(connection).find({}, { u: 1, lim: 1, lv: 1, from: 1 }).read('primary').lean<Row[]>();
