import type { Connection } from 'mongoose';
import { collectionName } from './engine.js';

interface Row {
  readonly _id: { readonly s: string; readonly f: string };
  readonly u: number;
  readonly lim?: number | null;
  /** Not there before the first use. */
  readonly from?: Date;
  readonly p?: Readonly<Record<string, { readonly n: number }>>;
}

export interface Seen {
  readonly writes: number;
  readonly violations: readonly string[];
}

/**
 * Looks at every single write of every counter, as it was before and after, until it is asked what it has seen: a counter never
 * rises above the limit that is in force in that very write, and no number of a process and lane comes twice.
 */
export async function witness(connection: Connection): Promise<() => Promise<Seen>> {
  const { db } = connection;
  if (!db) throw new Error('The connection is not open');
  await db.command({ collMod: collectionName, changeStreamPreAndPostImages: { enabled: true } });
  const options = { fullDocument: 'required', fullDocumentBeforeChange: 'whenAvailable' } as const;
  const stream = db.collection<Row>(collectionName).watch([], options);
  const violations: string[] = [];
  let [writes, isLast] = [0, false];
  await stream.tryNext(); // opens it
  const reading = (async () => {
    while (true) {
      const change = await stream.tryNext();
      if (!change && isLast) return;
      if (!change || !('fullDocument' in change) || !change.fullDocument) continue;
      writes += 1;
      const before = 'fullDocumentBeforeChange' in change ? change.fullDocumentBeforeChange : undefined;
      violations.push(...wrongIn(before, change.fullDocument));
    }
  })();
  return async () => {
    isLast = true;
    await reading;
    await stream.close();
    await db.command({ collMod: collectionName, changeStreamPreAndPostImages: { enabled: false } });
    return { writes, violations };
  };
}

function wrongIn(before: Row | null | undefined, { _id, u, lim, from, p = {} }: Row): string[] {
  const wrong: string[] = [];
  const then = before?.from?.getTime() === from?.getTime() ? (before?.u ?? 0) : 0;
  if (lim === undefined) wrong.push(`${_id.s}: has no limit`);
  if (lim !== null && lim !== undefined && u > then && u > lim)
    wrong.push(`${_id.s}: rose to ${u} above ${lim}`);
  for (const [slot, { n }] of Object.entries(p)) {
    const last = before?.p?.[slot]?.n ?? 0;
    if (n < last) wrong.push(`${_id.s}: ${slot} went back from ${last} to ${n}`);
  }
  return wrong;
}
