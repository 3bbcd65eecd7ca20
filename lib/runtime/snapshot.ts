/**
 * What one command has read for a request in strict mode, under the caches that the guards after it would look into: they decide by it, in place of reading the
 * same again. It lasts as long as the request.
 */
export class Snapshot {
  readonly #values = new Map<object, Map<string, object>>();

  /** Notes what `cache` would load under `key`; it may also be an object that only names what was read. */
  put(cache: object, key: string, value: object): void {
    const values = this.#values.get(cache);
    if (values) values.set(key, value);
    else this.#values.set(cache, new Map([[key, value]]));
  }

  get(cache: object, key: string): object | undefined {
    return this.#values.get(cache)?.get(key);
  }
}

/** Whether to decide by what the database has now; a snapshot: as far as it has not been read for this request already. */
export type Strictness = boolean | Snapshot;
