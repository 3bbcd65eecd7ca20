import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from 'mongoose';
import { Outbox, type StoredMail } from '../models/outbox.js';
import { database } from '../runtime/database.js';

/** Milliseconds after which a process that waits for a moment with nothing under way looks whether there is still something to wait for. */
const lookEvery = 5_000;

/**
 * Leases one mail at a time, or the lanes of a process would all write to the same first row and conflict. A mail that a worker may have died of has its
 * turn until it ends, and begins when no other is under way: whoever dies of it counts an attempt of no other mail. Nothing is leased while it waits for
 * that moment, or on a busy worker it would never come.
 */
export function takeTurns(connection: Connection, deliver: (mail: StoredMail) => Promise<void>) {
  const outbox = Outbox(connection);
  const inTurn = oneByOne();
  const underWay = new Set<Promise<void>>();
  let stopped = false;
  const begin = async (alone: boolean): Promise<{ readonly end: Promise<void> } | null> => {
    const mail = stopped ? null : await database(() => outbox.lease({ alone }));
    if (!mail) return null;
    const end: Promise<void> = deliver(mail as StoredMail).finally(() => underWay.delete(end));
    underWay.add(end);
    return { end };
  };
  /** True once nothing is under way; false when none has to go alone, or another process has taken it meanwhile. */
  const restsForOne = async (): Promise<boolean> => {
    while (!stopped && (await database(() => outbox.waitsAlone()))) {
      if (underWay.size === 0) return true;
      await Promise.race([...underWay, delay(lookEvery, undefined, { ref: false })]).catch(() => {});
    }
    return false;
  };
  return {
    /** Delivers a mail that is due, to its end; false when there is none. */
    async next(): Promise<boolean> {
      const delivery = await inTurn(() => begin(false));
      await delivery?.end;
      return delivery !== null;
    },
    /** The same for one that has to go alone. */
    nextAlone: (): Promise<boolean> =>
      inTurn(async () => {
        const delivery = (await restsForOne()) ? await begin(true) : null;
        await delivery?.end;
        return delivery !== null;
      }),
    stop() {
      stopped = true;
    },
  };
}

/** Runs what it is given one after the other, whatever becomes of each. */
function oneByOne() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
}
