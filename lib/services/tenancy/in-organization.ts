import Joi from 'joi';
import type { ClientSession, Connection, Types } from 'mongoose';
import { type AuditTarget, type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Organizations } from '../../models/organization.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { transactionInTurn } from '../../runtime/transaction-in-turn.js';
import { type Actor, actorFields } from '../roles/actor.js';

/** Who does something in which organization: nobody gives or takes away what they do not hold there. */
export interface Act extends Actor, Origin {
  organizationId: string;
}

/** The same for services that validate what they are given. */
export const actFields = { organizationId: Joi.string().required(), ...actorFields, ...originFields };

/** A transaction about one organization. */
export interface Acting {
  readonly connection: Connection;
  readonly session: ClientSession;
  readonly organization: Types.ObjectId;
  readonly actor: string | undefined;
  readonly scopes: readonly string[] | undefined;
  /** Who acts, and from where, for the audit log. */
  readonly by: Origin & { readonly actor: string | null };
  /** Records in the audit log what was done. */
  record(action: string, target: AuditTarget, details?: Readonly<Record<string, unknown>>): Promise<void>;
}

/**
 * Runs `work` in one transaction that begins by writing to the organization: of two in different processes the later one begins again and then sees
 * what the other did, so that nobody acts by a right that they are just losing, or in what is just being deleted. All wait for each other, ten seconds at
 * most.
 *
 * @throws {TollgateError} `not_found` (404), also for a malformed id; `overloaded`, `database_unavailable` (503)
 */
export async function inOrganization<T>(
  {
    organizationId,
    actor,
    scopes,
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
  const touch = (session: ClientSession) => Organizations(connection).touch(organization, session);
  return transactionInTurn(connection, `organization ${organization}`, touch, async (session, met) => {
    if (met.matchedCount === 0) throw refuse('not_found');
    const by = { actor: actor ?? null, ip, userAgent, requestId };
    const record: Acting['record'] = (action, target, details) =>
      recordAudit({ connection, session, ...by, organization, action, target, details });
    return work({ connection, session, organization, actor, scopes, by, record });
  });
}
