/**
 * What a consumer says of a counter, in the period that began at `from`: units granted to it; negative: that it will give back; `came late`: that this had
 * no effect.
 */
export type Entry = readonly [counter: string, from: number, units: number, late?: 'came late'];

interface Sum {
  /** Granted, less what was given back. */
  units: number;
  back: number;
}

/** What consumers were granted: to be held against what the database has counted. */
export class Ledger {
  readonly #counters = new Map<string, Map<number, Sum>>();
  /** Units that were granted in all. */
  granted = 0;
  /** Units that may have been counted without being granted: the answer was lost, or nobody was left to hear it. */
  open = 0;

  note([counter, from, units, late]: Entry): void {
    const periods = this.#counters.get(counter) ?? new Map<number, Sum>();
    const sum = periods.get(from) ?? { units: 0, back: 0 };
    sum.units += units;
    if (units < 0 || late) sum.back -= units;
    else this.granted += units;
    this.#counters.set(counter, periods.set(from, sum));
  }

  /** Every period of every counter that anything was granted in. */
  *sums(): Iterable<{ readonly counter: string; readonly from: number } & Readonly<Sum>> {
    for (const [counter, periods] of this.#counters)
      for (const [from, sum] of periods) yield { counter, from, ...sum };
  }
}
