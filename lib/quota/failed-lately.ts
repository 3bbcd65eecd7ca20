import { createHash } from 'node:crypto';
import { mongo } from 'mongoose';

/** Milliseconds for which a failure is remembered, and how many are. */
const [lifetime, most] = [10_000, 1_000];

/**
 * Remembers what failed by what it was: whoever tries the same again is known by that. As long as nothing fails nothing is looked at, so the
 * first failure only begins that.
 */
export class FailedLately {
  readonly #ends = new Map<string, number>();
  #end = 0;

  /** By what this can be known later; undefined: nothing has failed lately, or it cannot be written down. Read before it is tried, for trying changes it. */
  markOf(what: readonly object[]): string | undefined {
    if (performance.now() >= this.#end) return undefined;
    try {
      return createHash('sha256').update(mongo.BSON.serialize({ what })).digest('base64');
    } catch {
      return undefined; // it fails for that, too
    }
  }

  note(mark: string | undefined): void {
    this.#end = performance.now() + lifetime;
    if (mark === undefined) return;
    this.#ends.delete(mark);
    this.#ends.set(mark, this.#end);
    const [oldest] = this.#ends.keys();
    if (this.#ends.size > most && oldest !== undefined) this.#ends.delete(oldest);
  }

  has(mark: string | undefined): boolean {
    return mark !== undefined && performance.now() < (this.#ends.get(mark) ?? 0);
  }
}
