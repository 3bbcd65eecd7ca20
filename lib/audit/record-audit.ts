import Joi from 'joi';
import mongoose, { type ClientSession, type Connection, type Types } from 'mongoose';
import { AuditEntries } from '../models/audit-entry.js';
import { keysOf } from '../runtime/connection-keys.js';
import { database } from '../runtime/database.js';
import { proofOf } from './proofs.js';

/** Where an act came from, as far as it came over HTTP. */
export interface Origin {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
}

/** The same for services that validate what they are given. */
export const originFields = { ip: Joi.string(), userAgent: Joi.string(), requestId: Joi.string() };

/** What an act was done to. */
export interface AuditTarget {
  readonly type: string;
  readonly id: string;
}

export interface AuditRecord extends Origin {
  /** Subject and past participle, such as `user.signed-in`. */
  readonly action: string;
  /** The id of the user who acted; null: nobody signed in. */
  readonly actor?: string | null | undefined;
  readonly target?: AuditTarget | undefined;
  readonly organization?: Types.ObjectId | undefined;
  /** Anything else worth keeping, as JSON; no secrets. It is erased with the user. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly connection?: Connection | undefined;
  /** The transaction of the act itself, so that neither stands without the other. */
  readonly session?: ClientSession | undefined;
}

/**
 * Writes an audit entry. It carries a MAC by the first of the `keys` that anything of ours was given with this connection; without any it has
 * none, and `verifyAudit()` reports it as `unsigned`.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 * @example await recordAudit({ connection, session, action: 'project.deleted', actor: user.id, target });
 */
export async function recordAudit({ connection, session, ...record }: AuditRecord): Promise<void> {
  await recordAll({ connection, session }, [record]);
}

/** Writes an entry for each of several acts, in one command. */
export async function recordAll(
  { connection: given, session }: Pick<AuditRecord, 'connection' | 'session'>,
  records: readonly Omit<AuditRecord, 'connection' | 'session'>[],
): Promise<void> {
  if (records.length === 0) return;
  const connection = given ?? mongoose.connection;
  const entries = AuditEntries(connection);
  const documents = records.map((record) => {
    const details = JSON.parse(JSON.stringify(record.details ?? {}));
    const entry = new entries({ ...record, details, at: new Date() }).toObject(); // the MAC is of what is stored
    return { ...entry, ...proofOf(entry, keysOf(connection)) };
  });
  if (session) await entries.insertMany(documents, { session });
  else await database(() => entries.insertMany(documents));
}
