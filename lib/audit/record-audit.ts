import Joi from 'joi';
import type { ClientSession, Connection, Types } from 'mongoose';
import { AuditEntries } from '../models/audit-entry.js';
import { database } from '../runtime/database.js';

/** Where an act came from, as far as it came over HTTP. */
export interface Origin {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
}

/** The same for services that validate what they are given. */
export const originFields = { ip: Joi.string(), userAgent: Joi.string(), requestId: Joi.string() };

export interface AuditRecord extends Origin {
  /** Subject and past participle, such as `user.signed-in`. */
  readonly action: string;
  /** The id of the user who acted; null: nobody signed in. */
  readonly actor?: string | null | undefined;
  readonly target?: { readonly type: string; readonly id: string } | undefined;
  readonly organization?: Types.ObjectId | undefined;
  /** Anything else worth keeping, as JSON; no secrets. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly connection?: Connection | undefined;
  /** The transaction of the act itself, so that neither stands without the other. */
  readonly session?: ClientSession | undefined;
}

/**
 * Writes an audit entry.
 *
 * @example await recordAudit({ connection, session, action: 'project.deleted', actor: user.id, target });
 */
export async function recordAudit({ connection, session, ...entry }: AuditRecord): Promise<void> {
  const document = { ...entry, at: new Date() };
  const entries = AuditEntries(connection);
  if (session) await entries.insertMany([document], { session });
  else await database(() => entries.insertMany([document]));
}
