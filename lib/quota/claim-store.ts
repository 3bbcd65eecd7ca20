import type { Connection, mongo } from 'mongoose';
import { type ClaimKey, type ClaimRow, Claims } from '../models/claim.js';
import { ClaimedBatches } from '../models/claimed-batch.js';
import { inBulk } from '../runtime/in-bulk.js';
import { perConnection } from '../runtime/per-connection.js';
import type { Outcome } from './batch.js';

/** A claim as it was read, judged by the database's clock. */
export type JudgedRow = ClaimRow & { readonly isExpired: boolean; readonly isLetGo: boolean };

/** A batch as it is stored. */
export interface BatchRow {
  readonly _id: string;
  readonly feature: string;
  readonly slot: string;
  readonly sequence: number;
  readonly overage: number | null;
  readonly deadline: Date;
  readonly parts: readonly { readonly i: number; readonly amount: number; readonly from: Date | null }[];
  readonly outcome: (Outcome & { readonly at: Date }) | 'void' | null;
}

interface Change {
  readonly key: ClaimKey;
  readonly q: object;
  readonly set: object;
  /** Whether a claim looks as the change leaves it. */
  isDone(row: ClaimRow): boolean;
}

/** Idempotency keys and their batches in the database: whatever comes together goes in one command of each kind. */
export class ClaimStore {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  readonly read = inBulk<ClaimKey, JudgedRow | undefined>(async (keys) => {
    const rows = await Claims(this.#connection).aggregate<JudgedRow>([
      { $match: { _id: { $in: keys } } },
      { $set: { isExpired: { $lte: ['$expiresAt', '$$NOW'] }, isLetGo: { $lte: ['$until', '$$NOW'] } } },
    ]);
    const found = new Map(rows.map((row) => [JSON.stringify(row._id), row]));
    return keys.map((key) => withBody(found.get(JSON.stringify(key))));
  });

  readonly readBatch = inBulk<string, BatchRow | undefined>(async (ids) => {
    const rows = ClaimedBatches(this.#connection).collection.find<BatchRow>({ _id: { $in: ids } } as object, {
      readPreference: 'primary',
    });
    const found = new Map((await rows.toArray()).map((row) => [row._id, row]));
    return ids.map((id) => found.get(id));
  });

  readonly insert = inBulk<ClaimRow, boolean>((rows) => this.#insertAll(this.#claims, rows));

  readonly insertBatch = inBulk<BatchRow & { expiresAt: Date }, boolean>((rows) =>
    this.#insertAll(this.#batches, rows),
  );

  async #insertAll(insert: string, documents: readonly object[]): Promise<boolean[]> {
    const { writeErrors = [] } = await this.#command({ insert, documents, ordered: false });
    const taken = new Set<number>();
    for (const { index, code, errmsg } of writeErrors as { index: number; code: number; errmsg: string }[]) {
      if (code !== 11_000) throw new Error(`A claim could not be written: ${errmsg}`);
      taken.add(index);
    }
    return documents.map((_, index) => !taken.has(index));
  }

  /** The reply says how many were changed: if not all, those that were are told by looking at them. */
  readonly change = inBulk<Change, boolean>(async (changes) => {
    const updates = changes.map(({ q, set }) => ({ q, u: { $set: set } }));
    const { n } = await this.#command({ update: this.#claims, updates, ordered: false });
    if (n === changes.length) return changes.map(() => true);
    const keys = { _id: { $in: changes.map(({ key }) => key) } };
    const rows = await Claims(this.#connection).aggregate<ClaimRow>([{ $match: keys }]);
    const found = new Map(rows.map((row) => [JSON.stringify(row._id), row]));
    return changes.map(({ key, isDone }) => {
      const row = found.get(JSON.stringify(key));
      return row !== undefined && isDone(row);
    });
  });

  readonly changeBatch = inBulk<{ q: object; u: object }, void>(async (updates) => {
    await this.#command({ update: this.#batches, updates, ordered: false });
    return [];
  });

  readonly delete = inBulk<object, void>(async (queries) => {
    const deletes = queries.map((q) => ({ q, limit: 1 }));
    await this.#command({ delete: this.#claims, deletes, ordered: false });
    return [];
  });

  /** Not by the driver's own methods: they would make retryable writes of these, and tell less of what happened. */
  async #command(command: mongo.BSON.Document): Promise<mongo.BSON.Document> {
    const { db } = this.#connection;
    if (!db) throw new Error('The connection is not open');
    const reply = await db.command({ ...command, writeConcern: { w: 'majority' } });
    const failure = reply.writeConcernError ?? (command.insert ? undefined : reply.writeErrors);
    if (failure) throw new Error(`A claim could not be written: ${JSON.stringify(failure)}`);
    return reply;
  }

  get #claims(): string {
    return Claims(this.#connection).collection.name;
  }

  get #batches(): string {
    return ClaimedBatches(this.#connection).collection.name;
  }
}

export const claimStore = perConnection((connection) => new ClaimStore(connection));

/** The driver reads bytes into an object of its own. */
function withBody(row: JudgedRow | undefined): JudgedRow | undefined {
  if (!row?.answer?.body) return row;
  const { buffer } = row.answer.body as unknown as mongo.BSON.Binary;
  return { ...row, answer: { ...row.answer, body: Buffer.from(buffer) } };
}
