import { setTimeout } from 'node:timers';

/** Items that wait at most; more are dropped. */
const most = 1_000;

/** What nobody waits for: it is gathered for a moment and written by one command. */
export class Backlog<T> {
  readonly #write: (items: readonly T[]) => Promise<unknown>;
  readonly #pause: number;
  #items: T[] = [];

  /** `pause`: milliseconds. */
  constructor(pause: number, write: (items: readonly T[]) => Promise<unknown>) {
    this.#pause = pause;
    this.#write = write;
  }

  add(item: T): void {
    if (this.#items.length >= most) return;
    this.#items.push(item);
    if (this.#items.length === 1) setTimeout(() => void this.#flush(), this.#pause).unref();
  }

  async #flush(): Promise<void> {
    await this.#write(this.#items.splice(0)).catch(() => {});
  }
}
