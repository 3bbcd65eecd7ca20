import { isUtf8 } from 'node:buffer';
import type { Connection, mongo } from 'mongoose';
import { type ClaimRow, Claims } from '../../models/claim.js';
import { database } from '../../runtime/database.js';

/** An idempotency key of a user, with the answer that is kept to be given again. */
export interface KeptAnswer {
  readonly key: string;
  /** Empty where a service was called, and no route. */
  readonly method: string;
  readonly route: string;
  /** Who was charged, `type:id`. */
  readonly subject: string;
  /** What was charged; null: nothing. */
  readonly feature: string | null;
  readonly keptUntil: Date;
  /** Null: there is none yet, or nothing but the charge is kept. A body that is no text is in base64. */
  readonly answer: {
    readonly status: number;
    readonly type: string | null;
    readonly location: string | null;
    readonly body: string | null;
  } | null;
}

/** Rows that are read by one command: an answer may have 64 kB. */
const batch = 50;

/** The idempotency keys of an owner, in batches by the index on `_id`, so that no command takes long. */
export async function keptAnswers(connection: Connection, owner: string): Promise<readonly KeptAnswer[]> {
  const rows: ClaimRow[] = [];
  for (let page: readonly ClaimRow[] | undefined; page === undefined || page.length === batch; ) {
    const after = rows.at(-1)?._id;
    page = await database(() => Claims(connection).pageOf(owner, after, batch));
    rows.push(...page);
  }
  return rows.map(asKept);
}

const asKept = ({ _id, expiresAt, answer }: ClaimRow): KeptAnswer => ({
  key: _id.k,
  method: _id.m,
  route: _id.r,
  subject: _id.s,
  feature: _id.f || null,
  keptUntil: expiresAt,
  answer: answer && {
    status: answer.status,
    type: answer.type,
    location: answer.location,
    body: answer.body && textOf(answer.body),
  },
});

/** The driver reads bytes into an object of its own. */
function textOf(body: unknown): string {
  const bytes = Buffer.from((body as mongo.BSON.Binary).buffer);
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'base64');
}
