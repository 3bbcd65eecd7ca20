import { median } from './runner.js';

const rounds = 5;

/** What requests took, in milliseconds. */
export type Took = readonly number[];

interface Times {
  readonly p50: number;
  readonly p99: number;
}

function timesOf(took: Took): Times {
  const sorted = [...took].sort((one, other) => one - other);
  const at = (part: number) => sorted[Math.floor(sorted.length * part)] as number;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Compares what requests took: a run of each that does not count, then they take turns; the first is the peer. */
export async function compareWaits(
  title: string,
  runs: Readonly<Record<string, () => Promise<Took>>>,
): Promise<void> {
  const names = Object.keys(runs);
  const rows = new Map(names.map((name) => [name, [] as Times[]]));
  const run = async (name: string) => timesOf(await (runs[name] as () => Promise<Took>)());
  for (const name of names) await run(name);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(turn + round) % names.length] as string;
      rows.get(name)?.push(await run(name));
    }
  }
  const peer = rows.get(names[0] as string) as Times[];
  console.log(`\n### ${title}\n`);
  console.log('| variant | p50, ms | p99, ms | p50 ratio | p99 ratio |\n| --- | ---: | ---: | ---: | ---: |');
  for (const [name, times] of rows) {
    const ratio = (of: keyof Times) =>
      median(times.map((time, round) => time[of] / (peer[round] as Times)[of])).toFixed(2);
    const [p50, p99] = [median(times.map((time) => time.p50)), median(times.map((time) => time.p99))];
    console.log(`| ${name} | ${p50.toFixed(2)} | ${p99.toFixed(2)} | ${ratio('p50')} | ${ratio('p99')} |`);
  }
}
