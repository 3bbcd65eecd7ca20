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
 * Runs `work` in one transaction that begins by writing to the organization: of two in different processes the later one begins again and then sees
 * what the other did, so that nobody acts by a right that they are just losing, or in what is just being deleted. In this process they wait for each
 * other, for they would only conflict.
 *
 * @throws {TollgateError} `not_found` (404), also for a malformed id; `overloaded`, `database_unavailable` (503)
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
  const act = async (session: ClientSession) => {
    const { matchedCount } = await Organizations(connection).touch(organization, session);
    if (matchedCount === 0) throw refuse('not_found');
    const who = { actor: actor ?? null, organization, ip, userAgent, requestId };
    const record: Acting['record'] = (action, target, details) =>
      recordAudit({ connection, session, ...who, action, target, details });
    return work({ connection, session, organization, actor, record });
  };
  return inTurn(connection, `organization ${organization}`, () => transaction(connection, act), patience);
}
