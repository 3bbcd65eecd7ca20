import type { Connection, Model, Types } from 'mongoose';
import { asAuditEntry } from '../../audit/as-audit-entry.js';
import { refuse } from '../../errors.js';
import { ApiKeys } from '../../models/api-key.js';
import { AuditEntries } from '../../models/audit-entry.js';
import { Grants } from '../../models/grant.js';
import { Invitations } from '../../models/invitation.js';
import { Memberships } from '../../models/membership.js';
import { Reservations } from '../../models/reservation.js';
import { Sessions } from '../../models/session.js';
import { Subscriptions } from '../../models/subscription.js';
import { Usage } from '../../models/usage.js';
import { type StoredUser, Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { isLimitLock } from '../../quota/lock-limit.js';
import { opened } from '../../runtime/connection.js';
import { database } from '../../runtime/database.js';
import type { Subject } from '../../runtime/subject.js';
import { asApiKey } from '../api-keys/as-api-key.js';
import { asSession } from '../sessions/as-session.js';
import { asInvitation } from '../tenancy/invitations/as-invitation.js';
import { asUser } from './as-user.js';
import { keptAnswers } from './kept-answers.js';

export interface ExportSubject {
  readonly subject: Subject & { readonly type: 'user' };
  readonly connection?: Connection | undefined;
}

/** Documents that are read by one command. */
const batch = 1_000;

/**
 * All that is held of a user, as JSON can say it (GDPR, articles 15 and 20): the account, how it signs in, sessions, API keys, memberships, invitations, subscription,
 * grants, reservations, usage, kept answers to idempotency keys and the audit log's entries. Never a secret or the hash of one.
 *
 * @throws {TollgateError} `not_found` (404), `database_unavailable` (503)
 * @example ctx.body = await exportSubject({ subject: { type: 'user', id: user.id } });
 */
export async function exportSubject({ subject, ...rest }: ExportSubject): Promise<Record<string, unknown>> {
  if (subject.type !== 'user')
    throw new TypeError('exportSubject(): only a subject of the type user can be exported');
  const connection = opened(rest.connection);
  const _id = readUserId(connection, subject.id);
  const user = await database(() => Users(connection).findById(_id).lean());
  if (!user || !_id) throw refuse('not_found');
  const mine = { 'subject.type': 'user' as const, 'subject.id': subject.id };
  const [
    sessions,
    apiKeys,
    memberships,
    invitations,
    subscriptions,
    grants,
    reservations,
    usage,
    idempotencyKeys,
    auditEntries,
  ] = await Promise.all([
    few(Sessions(connection), { user: _id }),
    few(ApiKeys(connection), { user: _id }),
    few(Memberships(connection), { user: _id }),
    few(Invitations(connection), { email: user.email }),
    few(Subscriptions(connection), mine),
    few(Grants(connection), mine),
    few(Reservations(connection), mine),
    database(() => Usage(connection).allOf(`user:${subject.id}`)),
    keptAnswers(connection, `user:${subject.id}`),
    entriesOf(connection, subject.id),
  ]);
  return {
    user: asUser(user, Users(connection)),
    credentials: credentialsOf(user),
    sessions: sessions.map((each) => asSession(each as never)),
    apiKeys: apiKeys.map((each) => asApiKey(each as never)),
    memberships: memberships.map(plain),
    invitations: invitations.map((each) => asInvitation(each as never)),
    subscriptions: subscriptions.map(plain),
    grants: grants.map(plain),
    reservations: reservations.map(asHeld),
    usage: usage
      .filter(({ _id: key }) => !isLimitLock(key))
      .map(({ _id: key, u: used, from, to }) => ({ feature: key.f, used, from, to })),
    idempotencyKeys,
    auditEntries: auditEntries.map((each) => asAuditEntry(each as never)),
  };
}

/** How the user can sign in, without what it takes to do so. */
function credentialsOf({ password, totp, identities, passkeys }: StoredUser): object {
  return {
    password: Boolean(password),
    totp: Boolean(totp?.confirmedAt),
    identities: (identities ?? []).map(({ provider, issuer, subject, email, linkedAt }) => ({
      provider,
      issuer,
      subject,
      email,
      linkedAt,
    })),
    passkeys: (passkeys ?? []).map(({ id, name, createdAt, lastUsedAt }) => ({
      id,
      name,
      createdAt,
      lastUsedAt,
    })),
  };
}

type Row = { _id: Types.ObjectId; __v?: number };

/** What a user has few of. */
const few = (model: unknown, filter: object): Promise<readonly Row[]> =>
  database(() => (model as Model<Row>).find(filter).lean()) as Promise<Row[]>;

/** The audit log's entries, in batches by the index on actor and `_id`, so that no command takes long. */
async function entriesOf(connection: Connection, actor: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (let after: object = {}; ; after = { _id: { $gt: rows.at(-1)?._id } }) {
    const page = await database(() =>
      AuditEntries(connection)
        .find({ actor, ...after })
        .sort({ _id: 1 })
        .hint({ actor: 1, _id: 1 })
        .limit(batch)
        .lean(),
    );
    rows.push(...(page as Row[]));
    if (page.length < batch) return rows;
  }
}

const asHeld = (row: Row): object => {
  const { id, feature, amount, used, state, createdAt, expiresAt } = plain(row) as Record<string, unknown>;
  return { id, feature, amount, used, state, createdAt, expiresAt };
};

const plain = ({ _id, __v, ...facts }: Row): object => ({ id: String(_id), ...facts });
