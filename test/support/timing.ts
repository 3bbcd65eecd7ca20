import { expect } from 'chai';

/** The quartiles of some samples. */
function quartiles(samples: readonly number[]) {
  const sorted = samples.toSorted((one, other) => one - other);
  const at = (part: number) => sorted[Math.round((sorted.length - 1) * part)] as number;
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}

/**
 * Two distributions of milliseconds, of some 30 interleaved samples each, by which nobody could tell one from the other.
 *
 * The medians differ by chance (the standard error of each is 0.93 of the spread / √30, 0.24 of it for a difference): one whole
 * spread is four of those, and 2 ms is what a timer and a busy scheduler are good for. A hash that is left out, 40 ms and more,
 * would tear them apart.
 */
export function expectAlike(what: string, samples: readonly number[], others: readonly number[]): void {
  const [one, other] = [quartiles(samples), quartiles(others)];
  const spread = Math.max(one.high - one.low, other.high - other.low);
  const report = `${what} ${JSON.stringify({ one, other })}`;
  expect(Math.abs(one.median - other.median), report).to.be.below(Math.max(2, spread));
  expect(one.low, report).to.be.below(other.high);
  expect(other.low, report).to.be.below(one.high);
}
