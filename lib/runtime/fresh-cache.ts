import { LRUCache } from 'lru-cache';
import type { Connection } from 'mongoose';
import { type ChangeFeed, changeFeed } from './change-feed.js';
import { database } from './database.js';
import { perConnection } from './per-connection.js';
import { Snapshot, type Strictness } from './snapshot.js';

interface Entry<V> {
  /** What was loaded, or the promise of it while it is being loaded. */
  value: V | Promise<V>;
  subjects: readonly string[];
}

/** Whose change makes a value load again. Where only the value itself can tell, any change while it loads does. */
export type SubjectsOf<V> = readonly string[] | ((value: V) => readonly string[]);

/** Stands for every subject. */
const anybody = '*';

const [minute, hour] = [60_000, 3_600_000];

/**
 * Values read from the database that are believed until one of their subjects changes, and for an hour at most.
 *
 * An entry stands in the cache before its load begins, so that a change during the load removes it, and several
 * requests share one load. While the change feed is not live, every read goes to the database.
 */
export class FreshCache<V extends object> {
  readonly #feed: ChangeFeed;
  readonly #keysOf = new Map<string, Set<string>>();
  readonly #entries: LRUCache<string, Entry<V>>;
  readonly #running = new Map<string, Promise<V>>();
  readonly #queued = new Map<string, Promise<V>>();

  constructor(connection: Connection, max: number) {
    this.#feed = changeFeed(connection);
    this.#feed.onChange((subject) => this.#drop(subject));
    this.#entries = new LRUCache({
      max,
      ttl: hour - minute,
      ttlResolution: minute, // a finer one sets a timer in every millisecond in which somebody asks
      dispose: (entry, key) => this.#unlink(key, entry.subjects),
    });
  }

  /** The value under `key` where it is remembered and counts; it costs no more than a look. */
  known(key: string, strict: Strictness = false): V | undefined {
    if (strict) return strict instanceof Snapshot ? (strict.get(this, key) as V | undefined) : undefined;
    const value = this.#feed.isLive() ? this.#entries.get(key)?.value : undefined;
    return value instanceof Promise ? undefined : value;
  }

  /**
   * The value under `key`, from memory or by `load`; a change of any of `subjects` makes it load again. With `strict` it is
   * the value that the database has now; with a snapshot, the one that was read for this request already.
   */
  get(
    key: string,
    subjects: SubjectsOf<V>,
    load: () => PromiseLike<V>,
    strict: Strictness = false,
  ): V | Promise<V> {
    const seen = strict instanceof Snapshot ? strict.get(this, key) : undefined;
    if (seen) return seen as V;
    if (strict || !this.#feed.isLive()) return this.#read(key, load);
    return this.#entries.get(key)?.value ?? this.#load(key, subjects, load);
  }

  /**
   * A read that is under way may have begun before a change that the caller must see, so whoever comes meanwhile shares the
   * next one: one read of a key at a time, however many ask.
   */
  #read(key: string, load: () => PromiseLike<V>): Promise<V> {
    const running = this.#running.get(key);
    if (!running) return this.#start(key, load);
    const next = () => {
      this.#queued.delete(key);
      return this.#start(key, load);
    };
    const queued = this.#queued.get(key) ?? running.then(next, next);
    this.#queued.set(key, queued);
    return database(() => queued);
  }

  #start(key: string, load: () => PromiseLike<V>): Promise<V> {
    const running = database(load);
    this.#running.set(key, running);
    const over = () => void this.#running.delete(key);
    running.then(over, over);
    return running;
  }

  #load(key: string, subjects: SubjectsOf<V>, load: () => PromiseLike<V>): Promise<V> {
    const loading = database(load);
    const told = typeof subjects === 'function';
    const entry: Entry<V> = { value: loading, subjects: told ? [anybody] : subjects };
    this.#entries.set(key, entry);
    this.#link(key, entry.subjects);
    loading.then(
      (value) => {
        entry.value = value;
        if (!told || this.#entries.peek(key) !== entry) return;
        this.#unlink(key, entry.subjects);
        entry.subjects = subjects(value);
        this.#link(key, entry.subjects);
      },
      () => {
        if (this.#entries.peek(key) === entry) this.#entries.delete(key); // a refusal is not remembered
      },
    );
    return loading;
  }

  #link(key: string, subjects: readonly string[]): void {
    for (const subject of subjects) {
      const keys = this.#keysOf.get(subject);
      if (keys) keys.add(key);
      else this.#keysOf.set(subject, new Set([key]));
    }
  }

  #unlink(key: string, subjects: readonly string[]): void {
    for (const subject of subjects) {
      const keys = this.#keysOf.get(subject);
      if (keys?.delete(key) && keys.size === 0) this.#keysOf.delete(subject);
    }
  }

  /** Makes the next `get` load. */
  forget(key: string): void {
    this.#entries.delete(key);
  }

  #drop(subject: string | undefined): void {
    if (subject === undefined) this.#entries.clear();
    else
      for (const each of [subject, anybody])
        for (const key of [...(this.#keysOf.get(each) ?? [])]) this.#entries.delete(key);
  }
}

/** One such cache for each connection, of at most `max` entries. */
export const freshCache = <V extends object>(max: number) =>
  perConnection((connection) => new FreshCache<V>(connection, max));
