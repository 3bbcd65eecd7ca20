/** Subjects whose last change is remembered: what lives for half a second asks about them. */
const remembered = 10_000;

/** When a subject has changed last, counted in changes of all subjects. */
export class Changes {
  readonly #last = new Map<string, number>();
  #before = 0;
  #count = 0;

  /** Changes that have been heard of. */
  get count(): number {
    return this.#count;
  }

  /** Notes that `subject` has changed; undefined: anybody may have. */
  hear(subject: string | undefined): void {
    this.#count += 1;
    if (subject === undefined) {
      this.#last.clear();
      this.#before = this.#count;
      return;
    }
    this.#last.delete(subject);
    this.#last.set(subject, this.#count);
    if (this.#last.size <= remembered) return;
    const [oldest, number] = this.#last.entries().next().value as [string, number];
    this.#last.delete(oldest);
    this.#before = number;
  }

  /** The number of the last change that may have been the subject's. */
  lastOf(subject: string): number {
    return this.#last.get(subject) ?? this.#before;
  }
}
