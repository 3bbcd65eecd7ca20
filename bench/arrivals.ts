import { equal } from 'node:assert/strict';
import { compareWaits, type Took } from './waits.js';

const rate = 1_000; // a second
const seconds = 3;

/** Milliseconds between the requests of a Poisson process; the same ones for everybody. */
function gaps(count: number): number[] {
  let state = 7;
  return Array.from({ length: count }, () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return (-Math.log(1 - state / 2 ** 32) * 1_000) / rate;
  });
}

/** Sends requests when they are due, however many are under way, and measures from when they were due. */
async function arrive(send: () => Promise<unknown>): Promise<Took> {
  const waits = gaps(rate * seconds);
  const took: number[] = [];
  const pending: Promise<void>[] = [];
  let due = performance.now();
  for (const wait of waits) {
    due += wait;
    while (performance.now() < due) await new Promise((resolve) => setImmediate(resolve));
    const began = due;
    pending.push(send().then(() => void took.push(performance.now() - began)));
  }
  await Promise.all(pending);
  equal(took.length, waits.length);
  return took;
}

/** Compares what requests take that come at random, 1,000 a second; the first is the peer. */
export const openArrivals = (sends: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> =>
  compareWaits(
    `open arrivals (Poisson), ${rate} a second`,
    Object.fromEntries(Object.entries(sends).map(([name, send]) => [name, () => arrive(send)])),
  );
