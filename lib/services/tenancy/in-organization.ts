import Joi from 'joi';
import type { ClientSession, Connection, Types } from 'mongoose';
import { type AuditTarget, type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Organizations } from '../../models/organization.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { inTurn } from '../../runtime/in-turn.js';
import { transaction } from '../../runtime/transaction.js';

/** Who does something in which organization. */
export interface Act extends Origin {
  organizationId: string;
  /** The id of the member who does it: nobody gives or takes away what they lack. Default: the application, which may do anything. */
  actor?: string | undefined;
}

/** The same for services that validate what they are given. */
export const actFields = { organizationId: Joi.string().required(), actor: Joi.string(), ...originFields };

/** A transaction about one organization. */
export interface Acting {
  readonly connection: Connection;
  readonly session: ClientSession;
  readonly organization: Types.ObjectId;
  readonly actor: string | undefined;
  /** Records in the audit log what was done. */
  record(action: string, target: AuditTarget, details?: Readonly<Record<string, unknown>>): Promise<void>;
}

/** Milliseconds that a change waits for those before it: an organization may be asked for many at once. */
const patience = 10_000;

/**
 * Runs `work` in one transaction, when what this process was asked before about the organization has ended: those would only conflict, for
 * they all write its counters.
 *
 * @throws {TollgateError} `not_found` (404) for a malformed id; `overloaded`, `database_unavailable` (503)
 */
export async function inOrganization<T>(
  {
    organizationId,
    actor,
    ip,
    userAgent,
    requestId,
    ...given
  }: Act & { connection?: Connection | undefined },
  work: (acting: Acting) => Promise<T>,
): Promise<T> {
  const connection = opened(given.connection);
  const organization = objectId(organizationId);
  if (!organization) throw refuse('not_found');
  const act = (session: ClientSession) => {
    const who = { actor: actor ?? null, organization, ip, userAgent, requestId };
    const record: Acting['record'] = (action, target, details) =>
      recordAudit({ connection, session, ...who, action, target, details });
    return work({ connection, session, organization, actor, record });
  };
  return inTurn(connection, `organization ${organization}`, () => transaction(connection, act), patience);
}

/**
 * Makes sure that the organization is there until the transaction ends, where nothing else of it is written.
 *
 * @throws {TollgateError} `not_found` (404)
 */
export async function requireThere({ connection, session, organization }: Acting): Promise<void> {
  const { matchedCount } = await Organizations(connection).touch(organization, session);
  if (matchedCount === 0) throw refuse('not_found');
}
