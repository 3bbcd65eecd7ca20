import { setTimeout } from 'node:timers';
import type { Connection, mongo } from 'mongoose';
import { database, isUnavailable } from './database.js';
import { perConnection } from './per-connection.js';

/** The one collection that is watched; models/revocation.ts writes it. */
export const revocationCollection = 'tollgate_revocations';

/** Milliseconds after which a stream that has not advanced is not believed any more: a half-open one looks idle. */
const believedFor = 3_000;
const beatEvery = 1_000;
const reopenAfter = 1_000;

type Listener = (subject: string | undefined) => void;

/**
 * Tells this process's caches what has changed: at once what it changed itself, and through one change stream what
 * any other process did.
 *
 * The stream is believed only while its resume token advances. So that it does on an idle database, one document is
 * touched once a second, by whichever process comes first.
 */
class ChangeFeed {
  readonly #connection: Connection;
  readonly #listeners = new Set<Listener>();
  #stream: mongo.ChangeStream | undefined;
  #token: string | undefined;
  #warned = false;
  #advancedAt = Number.NEGATIVE_INFINITY;

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.on('connected', () => this.#open());
    connection.on('close', () => this.#lose());
    if (connection.readyState === 1) this.#open();
  }

  /** True while every change of another process is known to arrive; else nothing cached may be used. */
  isLive(): boolean {
    return performance.now() - this.#advancedAt < believedFor;
  }

  /** Calls `listener` with each subject that has changed, and with `undefined` when anything may have; gives how to stop it. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Says that `subject` has changed; `undefined` stands for everything. */
  announce(subject: string | undefined): void {
    for (const listener of this.#listeners) listener(subject);
  }

  #open(): void {
    if (this.#stream || !this.#connection.db) return;
    const inserts = [{ $match: { operationType: 'insert' } }];
    const stream = this.#connection.db
      .collection(revocationCollection)
      .watch(inserts, { maxAwaitTimeMS: 500 });
    this.#stream = stream;
    stream.on('change', (change: mongo.BSON.Document) => {
      for (const subject of change.fullDocument?.subjects ?? []) this.announce(subject);
    });
    stream.on('resumeTokenChanged', (token) => this.#advance(stream, JSON.stringify(token)));
    stream.on('error', (error) => this.#lose(stream, error));
    stream.on('close', () => this.#lose(stream));
    this.#beat(stream);
  }

  #advance(stream: mongo.ChangeStream, token: string): void {
    if (stream !== this.#stream || token === this.#token) return;
    this.#token = token;
    if (!this.isLive()) this.announce(undefined); // what was heard just now may be old news from before a stall
    this.#advancedAt = performance.now();
  }

  /** What happened while no stream was open is unknown: forget everything, and start anew. */
  #lose(stream = this.#stream, error?: Error): void {
    if (!stream || stream !== this.#stream) return;
    this.#stream = undefined;
    this.#advancedAt = Number.NEGATIVE_INFINITY;
    this.announce(undefined);
    if (error && !isUnavailable(error)) this.#warn(error);
    stream.close().catch(() => {});
    setTimeout(() => this.#connection.readyState === 1 && this.#open(), reopenAfter).unref();
  }

  /** Once: without a stream all works, but every request asks the database, and nobody would know why. */
  #warn(error: Error): void {
    if (this.#warned) return;
    this.#warned = true;
    process.emitWarning(
      `koa-tollgate cannot follow ${revocationCollection}, so nothing is cached: ${error.message}`,
    );
  }

  /** Touches the heartbeat unless somebody did within the last beat; an unchanged document makes no oplog entry. */
  async #beat(stream: mongo.ChangeStream): Promise<void> {
    if (stream !== this.#stream) return;
    const due = { $lte: ['$at', { $subtract: ['$$NOW', beatEvery * 0.9] }] };
    const touch = [{ $set: { at: { $cond: [due, '$$NOW', '$at'] } } }];
    const heartbeats = this.#connection.db?.collection<{ _id: string }>(revocationCollection);
    const touched = database(async () =>
      heartbeats?.updateOne({ _id: 'heartbeat' }, touch, { upsert: true }),
    );
    await touched.catch(() => {}); // a missed beat only makes the caches stand aside
    setTimeout(() => this.#beat(stream), beatEvery).unref();
  }
}

export type { ChangeFeed };

/** The feed of a connection, opened when it is first asked for. */
export const changeFeed = perConnection((connection) => new ChangeFeed(connection));
