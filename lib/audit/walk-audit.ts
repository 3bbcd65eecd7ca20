import type { Connection, Types } from 'mongoose';
import { AuditEntries } from '../models/audit-entry.js';
import { databaseTime } from '../runtime/clock.js';
import { database } from '../runtime/database.js';
import type { Key } from '../runtime/keyring.js';
import { type AuditFault, contentFault, type Entry, linkFault, macFault, type Place } from './check-entry.js';

export interface AuditProblem {
  /** Of the entry; null where none is left, or it is the head's. */
  readonly id: string | null;
  readonly problem: AuditFault;
}

/** What a walk along a chain has found so far. */
export interface Walk {
  checked: number;
  readonly problems: AuditProblem[];
  last: Place;
  /** `chain` of the entry at the place that was to be marked. */
  marked: string | undefined;
}

/** Entries that are read at once. */
const batchSize = 500;
/** Milliseconds that an entry may wait for a sealer. */
const patience = 60_000;

type Step = {
  readonly connection: Connection;
  readonly keyring: readonly Key[];
  readonly mark?: number | undefined;
};

/**
 * Goes over a chain in the order of its places, those first that have none: every entry of the organization is read, whatever somebody
 * has made of it. With `upTo` only what comes after the walk's last place.
 */
export async function walkOn(
  walk: Walk,
  organization: Types.ObjectId | null,
  { connection, keyring, mark }: Step,
  upTo?: number,
): Promise<void> {
  const later = upTo === undefined ? {} : { seq: { $gt: walk.last.seq, $lte: upTo } };
  const late = (await databaseTime(connection)).getTime() - patience;
  for await (const batch of inBatches(connection, { organization, ...later })) {
    const erased = await erasedOf(connection, batch, keyring);
    walk.checked += batch.length;
    for (const entry of batch) {
      const faults = faultsOf(entry, walk, contentFault(entry, keyring, erased), late);
      const id = String(entry._id);
      walk.problems.push(...faults.map((problem) => ({ id, problem })));
      if (isSealed(entry) && entry.seq > walk.last.seq) walk.last = { seq: entry.seq, chain: entry.chain };
      if (walk.last.seq === mark) walk.marked = walk.last.chain;
    }
  }
}

const isSealed = (entry: Entry): entry is Entry & Place =>
  entry.sealed === true && typeof entry.seq === 'number';

function faultsOf(entry: Entry, walk: Walk, content: AuditFault | undefined, late: number): AuditFault[] {
  const waits = Number(entry.at) < late ? 'unsealed' : undefined;
  const place = isSealed(entry) ? linkFault(entry, walk.last) : waits;
  const told = content === 'edited' && place === 'unlinked'; // its hash is of what it was
  return [content, told ? undefined : place].flatMap((fault) => fault ?? []);
}

async function* inBatches(connection: Connection, filter: object): AsyncGenerator<readonly Entry[]> {
  const found = AuditEntries(connection).find(filter).sort({ seq: 1, _id: 1 }).lean();
  const cursor = found.cursor({ batchSize });
  const next = async () => {
    const batch: Entry[] = [];
    for (
      let entry = await cursor.next();
      entry;
      entry = batch.length < batchSize ? await cursor.next() : null
    )
      batch.push(entry as Entry);
    return batch;
  };
  try {
    for (let batch = await database(next); batch.length > 0; batch = await database(next)) yield batch;
  } finally {
    await cursor.close();
  }
}

/** The users of entries that were redacted who were erased indeed: their erasure is in the log too. */
async function erasedOf(
  connection: Connection,
  batch: readonly Entry[],
  keyring: readonly Key[],
): Promise<ReadonlySet<unknown>> {
  const redacted = batch.filter((entry) => entry.redacted);
  const ids = redacted
    .flatMap(({ actor, target }) => [actor, target?.id])
    .filter((id) => typeof id === 'string');
  if (ids.length === 0) return new Set();
  const erasures = { action: 'user.erased', 'target.id': { $in: [...new Set(ids)] } };
  const found = await database(() => AuditEntries(connection).find(erasures).lean());
  const genuine = (found as Entry[]).filter((entry) => !macFault(entry, keyring));
  return new Set(genuine.map(({ target }) => target?.id));
}
