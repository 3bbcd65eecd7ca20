/** Numbers from 0 to 1 that follow from `seed` (mulberry32), so that a run can be told again. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Picks one of `count` things by Zipf's law: the first most often, each next one less. */
export function zipf(count: number, random: () => number, exponent = 1.1): () => number {
  let sum = 0;
  const bounds = Array.from({ length: count }, (_, index) => {
    sum += (index + 1) ** -exponent;
    return sum;
  });
  return () => {
    const at = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((bounds[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
