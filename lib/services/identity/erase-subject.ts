import Joi from 'joi';
import type { ClientSession, Connection, Types } from 'mongoose';
import { type Origin, originFields, recordAll, recordAudit } from '../../audit/record-audit.js';
import { redactErased } from '../../audit/redact-audit.js';
import { refuse } from '../../errors.js';
import { enqueueMail } from '../../mail/enqueue-mail.js';
import { ApiKeys } from '../../models/api-key.js';
import { Claims } from '../../models/claim.js';
import { Erasures } from '../../models/erasure.js';
import { Invitations } from '../../models/invitation.js';
import { Memberships } from '../../models/membership.js';
import { OneTimeTokens } from '../../models/one-time-token.js';
import { Organizations } from '../../models/organization.js';
import { Outbox } from '../../models/outbox.js';
import { changed } from '../../models/revocation.js';
import { Sessions } from '../../models/session.js';
import { Subscriptions } from '../../models/subscription.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { type Subject, subjectSchema } from '../../runtime/subject.js';
import { transaction } from '../../runtime/transaction.js';
import { giveUpOwnership, keepAnAdmin } from '../tenancy/give-up-ownership.js';
import { forgetUsage } from '../usage/forget-usage.js';

export interface EraseSubject extends Origin {
  subject: Subject & { readonly type: 'user' };
  /** The id of who does it, for the audit log. Default: the user. */
  actor?: string | undefined;
  /** Whether a mail says that it is done. Default false. */
  notify?: boolean | undefined;
}

const own = {
  subject: subjectSchema.required(),
  actor: Joi.string(),
  notify: Joi.boolean(),
  ...originFields,
};

/**
 * Erases a user (GDPR, article 17): the account with its credentials, sessions, API keys, tokens, waiting mails, memberships, invitations, subscription, usage, grants, reservations and kept answers, in
 * one transaction; then what is personal in the audit log, which `cleanUp()` ends if this process does not. What was done, when, and by which id stays there.
 *
 * @throws {TollgateError} `not_found` (404); `last_owner` (409, extra `organizationId`) of an organization, whoever else is a member: delete it first;
 *   `last_admin` (409); `database_unavailable` (503)
 * @example await eraseSubject({ subject: { type: 'user', id: user.id } });
 */
export async function eraseSubject(input: EraseSubject & SharedOptions): Promise<void> {
  const given = readOptions<EraseSubject>('eraseSubject', input, own);
  const { subject, actor = subject.id, notify, roleNames, ip, userAgent, requestId } = given;
  if (subject.type !== 'user')
    throw new TypeError('eraseSubject(): only a subject of the type user can be erased');
  const connection = opened(given.connection);
  const _id = readUserId(connection, subject.id);
  if (!_id) throw refuse('not_found');
  await transaction(connection, async (session) => {
    const user = await Users(connection).findOneAndDelete({ _id }, { session }).lean();
    if (!user) throw refuse('not_found');
    const by = { actor, ip, userAgent, requestId };
    await leave(connection, session, _id, by);
    await keepAnAdmin(connection, session, user, roleNames);
    await uninvite(connection, session, user.email, by);
    await deleteAll(connection, session, _id, user.email);
    await Erasures(connection).insertMany([{ _id: subject.id, at: new Date() }], { session });
    if (notify) await enqueueMail(connection, session, { kind: 'account-erased', to: user.email });
    await recordAudit({ connection, session, ...by, action: 'user.erased', target: subject });
    await changed(connection, session, `user:${subject.id}`);
  });
  await redactErased(connection).catch(() => {}); // the clean-up ends it
}

type By = Origin & { readonly actor: string };

/** Ends all memberships; each organization's audit log has it. */
async function leave(
  connection: Connection,
  session: ClientSession,
  user: Types.ObjectId,
  by: By,
): Promise<void> {
  const memberships = await Memberships(connection).find({ user }, null, { session }).lean();
  for (const membership of memberships)
    if (membership.role === 'owner') await giveUpOwnership(connection, session, membership);
  const organizations = { _id: { $in: memberships.map(({ organization }) => organization) } };
  await Organizations(connection).updateMany(organizations, { $inc: { members: -1 } }, { session });
  await Memberships(connection).deleteMany({ user }, { session });
  const target = { type: 'user', id: String(user) };
  const entries = memberships.map(({ organization, role }) => {
    return { ...by, action: 'organization.member.erased', target, organization, details: { role } };
  });
  await recordAll({ connection, session }, entries);
}

/** Open invitations for an address; the seats that they hold are free, and each organization's audit log has it. */
async function uninvite(
  connection: Connection,
  session: ClientSession,
  email: string,
  by: By,
): Promise<void> {
  const invitations = await Invitations(connection).find({ email }, null, { session }).lean();
  const organizations = invitations.map(({ organization }) => organization);
  const ids = invitations.map(({ _id }) => _id);
  await Organizations(connection).freePlaces(organizations, ids, session);
  await Invitations(connection).deleteMany({ email }, { session });
  const entries = invitations.map(({ _id, organization, role }) => {
    const target = { type: 'invitation', id: String(_id) };
    return { ...by, action: 'organization.invitation.erased', target, organization, details: { role } };
  });
  await recordAll({ connection, session }, entries);
}

async function deleteAll(
  connection: Connection,
  session: ClientSession,
  user: Types.ObjectId,
  email: string,
): Promise<void> {
  const sessions = await Sessions(connection).find({ user }, { _id: 1 }, { session }).lean();
  await Sessions(connection).deleteMany({ user }, { session });
  await changed(connection, session, `user:${user}`, ...sessions.map(({ _id }) => `session:${_id}`));
  await ApiKeys(connection).deleteMany({ user }, { session });
  await OneTimeTokens(connection).deleteMany({ user }, { session });
  await OneTimeTokens(connection).deleteMany({ email }, { session });
  await Outbox(connection).deleteMany({ to: email }, { session });
  await Subscriptions(connection).deleteOne(
    { 'subject.type': 'user', 'subject.id': String(user) },
    { session },
  );
  await forgetUsage(connection, { type: 'user', id: String(user) }, session);
  await Claims(connection).deleteAllOf(`user:${user}`, session);
}
