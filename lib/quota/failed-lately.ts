import { createHash } from 'node:crypto';
import { mongo } from 'mongoose';

/** Milliseconds for which a failure is remembered, and how many are. */
const [lifetime, most] = [10_000, 1_000];

/**
 * Remembers what failed by whose it was, where it went and what it was: whoever tries the same again is known by that. As long as nothing fails
 * nothing is looked at, so the first failure only begins that.
 */
export class FailedLately {
  readonly #ends = new Map<string, number>();
  /** A number for each model and handle. */
  readonly #places = new WeakMap<object, number>();
  #count = 0;
  #end = 0;

  /** By what this can be known later; undefined: nothing has failed lately, or it cannot be written down. Read before it is tried, for trying changes it. */
  markOf(
    whose: string,
    what: readonly { readonly model: object; readonly operation: object }[],
  ): string | undefined {
    if (performance.now() >= this.#end) return undefined;
    const tried = what.map(({ model, operation }) => ({ place: this.#placeOf(model), operation }));
    try {
      return createHash('sha256').update(mongo.BSON.serialize({ whose, tried })).digest('base64');
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

  /** It has not failed this time. */
  forget(mark: string | undefined): void {
    if (mark !== undefined) this.#ends.delete(mark);
  }

  has(mark: string | undefined): boolean {
    return mark !== undefined && performance.now() < (this.#ends.get(mark) ?? 0);
  }

  #placeOf(model: object): number {
    const known = this.#places.get(model);
    if (known !== undefined) return known;
    this.#count += 1;
    this.#places.set(model, this.#count);
    return this.#count;
  }
}
