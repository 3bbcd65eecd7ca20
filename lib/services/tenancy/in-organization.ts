import { setTimeout as delay } from 'node:timers/promises';
import Joi from 'joi';
import type { ClientSession, Connection, Types } from 'mongoose';
import { type AuditTarget, type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { Organizations } from '../../models/organization.js';
import { opened } from '../../runtime/connection.js';
import { objectId } from '../../runtime/ids.js';
import { inTurn } from '../../runtime/in-turn.js';
import { transaction } from '../../runtime/transaction.js';
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
  /** Records in the audit log what was done. */
  record(action: string, target: AuditTarget, details?: Readonly<Record<string, unknown>>): Promise<void>;
}

/** Milliseconds that a change waits for those before it: an organization may be asked for many at once. */
const patience = 10_000;

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
  const act = async (session: ClientSession) => {
    const { matchedCount } = await Organizations(connection).touch(organization, session).catch(asBusy);
    if (matchedCount === 0) throw refuse('not_found');
    const who = { actor: actor ?? null, organization, ip, userAgent, requestId };
    const record: Acting['record'] = (action, target, details) =>
      recordAudit({ connection, session, ...who, action, target, details });
    return work({ connection, session, organization, actor, scopes, record });
  };
  const until = performance.now() + patience;
  const attempt = () => whenFree(() => transaction(connection, act), until);
  return inTurn(connection, `organization ${organization}`, attempt, patience);
}

/** Another process acts in the organization. */
const busy = new Error('busy');

/** MongoDB does not wait for a document that another transaction has written: it refuses. */
function asBusy(error: { readonly code?: unknown }): never {
  throw error.code === 112 ? busy : error;
}

/** Tries again, at odd times, while other processes act: nothing was written yet. By itself the driver would do so for 1.5 s only, and in vain beside a busy one. */
async function whenFree<T>(act: () => Promise<T>, until: number): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (error !== busy) throw error;
      if (performance.now() > until) throw refuse('overloaded');
    }
    await delay(2 + Math.random() * 20);
  }
}
