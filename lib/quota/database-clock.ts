import type { Connection } from 'mongoose';
import { databaseTime } from '../runtime/clock.js';
import { perConnection } from '../runtime/per-connection.js';

/** Milliseconds for which a batch may take effect. */
const effective = 10_000;

/** The database's time, as far as this process can tell without asking: what it said last, and how long ago. */
class DatabaseClock {
  readonly #connection: Connection;
  #ahead: number | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Notes what the database has just said. */
  heard(time: Date): void {
    this.#ahead = time.getTime() - performance.now();
  }

  /** Asks the database. */
  async ask(): Promise<void> {
    this.heard(await databaseTime(this.#connection));
  }

  /** True until the database has said something. */
  get isMute(): boolean {
    return this.#ahead === undefined;
  }

  /** After it a batch that is sent now takes no effect any more. */
  deadline(): Date {
    return new Date(this.now().getTime() + effective);
  }

  now(): Date {
    return new Date(performance.now() + (this.#ahead ?? 0));
  }
}

export type { DatabaseClock };

export const databaseClock = perConnection((connection) => new DatabaseClock(connection));
