import type { ClientSession, Connection, Types } from 'mongoose';
import { enqueueMail } from '../mail/enqueue-mail.js';
import { unlinked } from '../mail/own-words.js';
import { Memberships } from '../models/membership.js';
import { Organizations } from '../models/organization.js';
import { Teams } from '../models/team.js';
import { Users } from '../models/user.js';
import { readUserId } from '../models/user-id.js';
import { objectId } from '../runtime/ids.js';
import type { Subject } from '../runtime/subject.js';
import type { ThresholdEvent } from './threshold-event.js';

/**
 * Puts the mails that tell of a threshold into the outbox, in the transaction of `session` that takes it: to the user whose it is, or to the
 * owners of the organization, a team's too. To nobody where the subject is none of those, or is gone.
 */
export async function mailThreshold(
  connection: Connection,
  session: ClientSession,
  { subject, feature, threshold, used, limit, resetsAt }: ThresholdEvent,
): Promise<void> {
  const { users, organization = '', team = '' } = await concerned(connection, session, subject);
  const people = { _id: { $in: [...users] }, status: { $ne: 'inactive' as const } };
  const found = await Users(connection).find(people, { email: 1 }, { session }).lean();
  const data = {
    feature,
    threshold: String(threshold),
    used: String(used),
    limit: String(limit ?? ''),
    resetsAt: resetsAt ? `${resetsAt.toISOString().slice(0, 16).replace('T', ' ')} UTC` : '',
    organization: unlinked(organization),
    team: unlinked(team),
  };
  for (const { email: to } of found)
    await enqueueMail(connection, session, { kind: 'quota-threshold', to, data });
}

interface Concerned {
  readonly users: readonly Types.ObjectId[];
  readonly organization?: string;
  readonly team?: string;
}

async function concerned(
  connection: Connection,
  session: ClientSession,
  { type, id }: Subject,
): Promise<Concerned> {
  if (type === 'user') {
    const user = readUserId(connection, id);
    return { users: user ? [user] : [] };
  }
  const _id = objectId(id);
  if (type === 'organization') return owners(connection, session, _id);
  const team = _id && (await Teams(connection).findById(_id, null, { session }).lean());
  return team
    ? { ...(await owners(connection, session, team.organization)), team: team.name }
    : { users: [] };
}

async function owners(
  connection: Connection,
  session: ClientSession,
  _id: Types.ObjectId | null,
): Promise<Concerned> {
  const organization =
    _id && (await Organizations(connection).findById(_id, { name: 1 }, { session }).lean());
  if (!organization) return { users: [] };
  const owning = { organization: organization._id, role: 'owner' };
  const found = await Memberships(connection).find(owning, { user: 1 }, { session }).lean();
  return { users: found.map(({ user }) => user), organization: organization.name };
}
