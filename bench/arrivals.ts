import { equal } from 'node:assert/strict';
import { median } from './runner.js';

const rate = 1_000; // a second
const seconds = 3;
const rounds = 5;

interface Times {
  readonly p50: number;
  readonly p99: number;
}

/** Milliseconds between the requests of a Poisson process; the same ones for everybody. */
function gaps(count: number): number[] {
  let state = 7;
  return Array.from({ length: count }, () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return (-Math.log(1 - state / 2 ** 32) * 1_000) / rate;
  });
}

/** Sends requests when they are due, however many are under way, and measures from when they were due. */
async function measure(send: () => Promise<unknown>): Promise<Times> {
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
  took.sort((one, other) => one - other);
  const at = (part: number) => took[Math.floor(took.length * part)] as number;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Compares what requests take that come at random, 1,000 a second; the first is the peer. */
export async function openArrivals(sends: Record<string, () => Promise<unknown>>): Promise<void> {
  const names = Object.keys(sends);
  const rows = new Map(names.map((name) => [name, [] as Times[]]));
  for (const name of names) await measure(sends[name] as () => Promise<unknown>);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(turn + round) % names.length] as string;
      rows.get(name)?.push(await measure(sends[name] as () => Promise<unknown>));
    }
  }
  const peer = rows.get(names[0] as string) as Times[];
  console.log(`\n### open arrivals (Poisson), ${rate} a second\n`);
  console.log('| variant | p50, ms | p99, ms | p50 ratio | p99 ratio |\n| --- | ---: | ---: | ---: | ---: |');
  for (const [name, times] of rows) {
    const ratio = (of: keyof Times) =>
      median(times.map((time, round) => time[of] / (peer[round] as Times)[of])).toFixed(2);
    const [p50, p99] = [median(times.map((time) => time.p50)), median(times.map((time) => time.p99))];
    console.log(`| ${name} | ${p50.toFixed(2)} | ${p99.toFixed(2)} | ${ratio('p50')} | ${ratio('p99')} |`);
  }
}
