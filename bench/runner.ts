/** A thing to measure. */
export interface Variant {
  readonly name: string;
  start(): Promise<Running>;
}

export interface Running {
  /** Does the work that is timed; gives the number of operations done. */
  run(): Promise<number>;
  /** Asserts the totals of the last run; throws when they are off. */
  check(): Promise<void>;
  stop(): void | Promise<void>;
}

export interface Comparison {
  /** At least 5. Default 7. */
  readonly rounds?: number;
  /** What a row says: operations a second, or microseconds an operation. Default `per second`. */
  readonly unit?: 'per second' | 'µs';
}

export interface Row {
  readonly name: string;
  /** One for each round, in the unit of the comparison. */
  readonly values: number[];
  /** To the first variant, computed round by round. */
  readonly ratios: number[];
}

/**
 * Measures variants against the first of them, in one process: each is warmed up by a run that does not count, then
 * they take turns (A B C, B C A, …), so that whatever else the machine does meets all of them. Totals are asserted
 * after every run.
 */
export async function compare(
  variants: readonly Variant[],
  { rounds = 7, unit = 'per second' }: Comparison = {},
): Promise<Row[]> {
  if (rounds < 5) throw new RangeError('Fewer than 5 rounds say nothing');
  const entries: { running: Running; row: Row }[] = [];
  try {
    for (const { name, start } of variants)
      entries.push({ running: await start(), row: { name, values: [], ratios: [] } });
    for (const { running } of entries) await measure(running, unit);
    for (let round = 0; round < rounds; round += 1) {
      for (const { running, row } of rotated(entries, round)) row.values.push(await measure(running, unit));
    }
  } finally {
    for (const { running } of entries) await running.stop();
  }
  const rows = entries.map(({ row }) => row);
  return rows.map((row) => ({ ...row, ratios: eachRound(row, rows[0] as Row, (a, b) => a / b) }));
}

async function measure({ run, check }: Running, unit: Comparison['unit']): Promise<number> {
  const begun = performance.now();
  const operations = await run();
  const milliseconds = performance.now() - begun;
  await check();
  return unit === 'µs' ? (milliseconds * 1_000) / operations : (operations * 1_000) / milliseconds;
}

const rotated = <T>(list: readonly T[], by: number): T[] =>
  list.map((_, index) => list[(index + by) % list.length] as T);

/** Relates two rows round by round, which leaves out what slowed a whole round down. */
export const eachRound = (a: Row, b: Row, relate: (a: number, b: number) => number): number[] =>
  a.values.map((value, round) => relate(value, b.values[round] as number));

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Prints rows as a Markdown table. */
export function print(rows: readonly Row[], { unit = 'per second' }: Comparison = {}): void {
  const show = (value: number) => value.toFixed(unit === 'µs' ? 2 : value < 100 ? 1 : 0);
  console.log(`| variant | median, ${unit} | min–max | ratio |\n| --- | ---: | ---: | ---: |`);
  for (const { name, values, ratios } of rows) {
    const range = `${show(Math.min(...values))}–${show(Math.max(...values))}`;
    console.log(`| ${name} | ${show(median(values))} | ${range} | ${median(ratios).toFixed(2)} |`);
  }
}
