import { setTimeout } from 'node:timers';

/** Counters of which something waits, at most; of others it is dropped. */
const most = 5_000;

/** What nobody waits for: the last few items of each counter are gathered for a moment, and those of all written by one command. */
export class Backlog<T> {
  readonly #write: (items: readonly (readonly T[])[]) => Promise<unknown>;
  readonly #pause: number;
  readonly #kept: number;
  readonly #items = new Map<string, T[]>();

  /** `pause`: milliseconds; `kept`: items of one counter. */
  constructor(pause: number, kept: number, write: (items: readonly (readonly T[])[]) => Promise<unknown>) {
    this.#pause = pause;
    this.#kept = kept;
    this.#write = write;
  }

  add(name: string, item: T): void {
    const items = this.#items.get(name);
    if (items) {
      items.push(item);
      if (items.length > this.#kept) items.shift();
      return;
    }
    if (this.#items.size >= most) return;
    this.#items.set(name, [item]);
    if (this.#items.size === 1) setTimeout(() => void this.#flush(), this.#pause).unref();
  }

  async #flush(): Promise<void> {
    const items = [...this.#items.values()];
    this.#items.clear();
    await this.#write(items).catch(() => {});
  }
}
