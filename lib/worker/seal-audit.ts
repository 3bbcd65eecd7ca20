import type { Types } from 'mongoose';
import { AuditEntries } from '../models/audit-entry.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { keepDoing } from './keep-doing.js';
import { type Sealer, sealChain, signHeadsAnew } from './seal-chain.js';

/** Milliseconds between two sweeps. */
const pause = 1_000;
const pauseAfterFailure = 5_000;

/**
 * Links the entries of the audit log that are in no chain yet to those before them. `startWorker()` does so every second; this is for an application
 * without a worker. Any number may run at once: each chain is leased to one of them.
 *
 * @returns how many it has linked
 * @throws {TollgateError} `internal` (500) when somebody has changed the end of a chain, or its key is gone: nothing is built on
 *   that, but the other chains are sealed; `database_unavailable` (503)
 * @example await sealAudit({ connection, keys });
 */
export async function sealAudit(options: SharedOptions): Promise<number> {
  const { keyring, ...given } = readOptions('sealAudit', options, signingKeys());
  const sealer = { connection: opened(given.connection), keyring };
  await signHeadsAnew(sealer);
  return sweep(sealer);
}

/** One chain after the other, each once, the failed ones too. */
async function sweep(sealer: Sealer): Promise<number> {
  const entries = AuditEntries(sealer.connection);
  const done: (Types.ObjectId | null)[] = [];
  const failures: unknown[] = [];
  for (let count = 0; ; ) {
    const waiting = { sealed: false, organization: { $nin: done } };
    const next = await database(() => entries.findOne(waiting, { organization: 1 }).lean());
    if (!next && failures.length > 0) throw failures[0];
    if (!next) return count;
    const organization = next.organization ?? null;
    done.push(organization);
    try {
      count += await sealChain(sealer, organization);
    } catch (error) {
      failures.push(error);
    }
  }
}

/** Seals what is written, by any process, within a second or so, until it is stopped. */
export function keepSealed(sealer: Sealer, onError: (error: unknown) => void): { stop(): Promise<void> } {
  let isFirst = true;
  return keepDoing(async () => {
    const signs = isFirst;
    isFirst = false;
    try {
      if (signs) await signHeadsAnew(sealer);
      await sweep(sealer);
      return pause;
    } catch (error) {
      onError(error);
      return pauseAfterFailure;
    }
  });
}
