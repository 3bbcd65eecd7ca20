import Joi from 'joi';
import type { ClientSession, Connection, Types, UpdateQuery } from 'mongoose';
import { type Origin, originFields, recordAudit } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { changed } from '../../models/revocation.js';
import { type StoredUser, Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { opened } from '../../runtime/connection.js';
import { type RoleNames, readOptions, type SharedOptions } from '../../runtime/options.js';
import type { OwnFields, User } from '../../runtime/user.js';
import { asUser } from '../identity/as-user.js';
import { checkUser } from '../identity/check-user.js';
import { newUserSchemas } from '../identity/create-user.js';
import { type Actor, actorFields } from '../roles/actor.js';
import { byGlobalRights } from '../roles/by-global-rights.js';
import { changeCredentials } from '../sessions/change-credentials.js';
import { keepAnAdmin } from '../tenancy/give-up-ownership.js';
import { restoreOwnership } from '../tenancy/restore-ownership.js';
import { suspendOwnership } from '../tenancy/suspend-ownership.js';
import { type Act, holdGlobalRoles, refuseActs } from './manager.js';

export interface UserUpdate extends Actor, Origin {
  userId: string;
  /** Null removes it. */
  name?: string | null | undefined;
  emailVerified?: boolean | undefined;
  /** The application's own fields that change, checked by its own schema. */
  fields?: Partial<OwnFields> | undefined;
  /** All of them, in place of those that the user has. */
  roles?: readonly string[] | undefined;
  /** `inactive` ends all sessions and closes the account; `active` opens it again. */
  status?: 'active' | 'inactive' | undefined;
}

const own = {
  userId: Joi.string().required(),
  name: newUserSchemas.name.allow(null),
  emailVerified: Joi.boolean(),
  fields: newUserSchemas.fields,
  roles: newUserSchemas.roles,
  status: Joi.valid('active', 'inactive'),
  ...actorFields,
  ...originFields,
};

type Given = UserUpdate & SharedOptions & { readonly roleNames: RoleNames };
type Found = StoredUser & { _id: Types.ObjectId };

/**
 * Changes a user, as administrators do: fields, roles, status. All of it or nothing; it counts on the next request in this process and in strict mode,
 * within a moment in others. With an `actor` their management rules decide: to deactivate is `delete`, all else `update`; a change of roles needs the right
 * on the old and on the new ones, and nobody gives roles that hold more than they do themselves, permissions or rules.
 *
 * @returns the user as it is then
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403), `not_found` (404), `validation_failed` (400, by the application's schema), `last_admin` (409),
 *   `last_owner` (409, extra `organizationId`) of an organization with other members, `overloaded`, `database_unavailable` (503)
 * @example await updateUser({ userId: user.id, roles: ['user', 'editor'], actor: admin.id });
 */
export async function updateUser(input: UserUpdate & SharedOptions): Promise<User> {
  const given = readOptions<Given>('updateUser', input, own);
  const connection = opened(given.connection);
  const _id = readUserId(connection, given.userId);
  const values = valuesOf(given);
  await checkUser(connection, values, Object.keys(values));
  const judge = async (session: ClientSession | null) => {
    const before = _id && (await Users(connection).findOne({ _id }, null, { session }).lean());
    await refuseActs(connection, session, given, actsOn(before?.roles ?? [], given));
    if (!before) throw refuse('not_found');
    const granted = given.roles?.filter((role) => !before.roles?.includes(role)) ?? [];
    await holdGlobalRoles(connection, session, given, granted);
    return before;
  };
  return byGlobalRights(connection, given.actor, judge, async (session, before) => {
    const after = await write(connection, session, before, { ...given, values });
    await changed(connection, session, `user:${given.userId}`);
    return asUser(after, Users(connection));
  });
}

const valuesOf = ({ name, emailVerified, fields }: UserUpdate): Record<string, unknown> => ({
  ...fields,
  ...(name !== undefined && { name }),
  ...(emailVerified !== undefined && { emailVerified }),
});

/** What is done to a user of the roles `old`. Nobody is told whether somebody exists whom they may not touch: an unknown user has none. */
function actsOn(old: readonly string[], { status, roles, name, emailVerified, fields }: UserUpdate): Act[] {
  const deactivates = status === 'inactive';
  const onlyThat = deactivates && [roles, name, emailVerified, fields].every((part) => part === undefined);
  return [
    ...(onlyThat ? [] : [['update', old] as const]),
    ...(deactivates ? [['delete', old] as const] : []),
    ...(roles ? [['update', roles] as const] : []),
  ];
}

type Change = Given & { readonly values: Record<string, unknown> };

async function write(
  connection: Connection,
  session: ClientSession,
  before: Found,
  { values, roles, status, roleNames, actor, ip, userAgent, requestId }: Change,
): Promise<Found> {
  const { _id } = before;
  const wasActive = before.status !== 'inactive';
  const closes = wasActive && status === 'inactive';
  const opens = !wasActive && status === 'active';
  const by = { actor, ip, userAgent, requestId };
  const $set = {
    ...values,
    ...(roles && { roles: [...new Set(roles)] }),
    ...((closes || opens) && { status }),
  };
  const after = closes
    ? await changeCredentials(connection, session, {
        filter: { _id },
        update: { $set } as UpdateQuery<StoredUser>,
        ...by,
      })
    : await Users(connection)
        .findOneAndUpdate({ _id }, { $set }, { session, returnDocument: 'after' })
        .lean();
  if (!after) throw refuse('not_found');
  if (closes) await suspendOwnership(connection, session, _id, { ...by, alone: true });
  if (opens) await restoreOwnership(connection, session, _id, by);
  const { admin } = roleNames;
  const goes = wasActive && (closes || !after.roles.includes(admin));
  if (goes && before.roles?.includes(admin)) await keepAnAdmin(connection, session, before, roleNames);
  await note(connection, session, before, { values, roles: roles && after.roles, closes, opens, ...by });
  return after;
}

interface Note extends Origin {
  readonly values: Record<string, unknown>;
  readonly roles: readonly string[] | undefined;
  readonly closes: boolean;
  readonly opens: boolean;
  readonly actor: string | undefined;
}

/** An entry of the audit log for each kind of change. */
async function note(
  connection: Connection,
  session: ClientSession,
  before: Found,
  { values, roles, closes, opens, ...by }: Note,
): Promise<void> {
  const fields = Object.keys(values);
  const entries = [
    ...(fields.length > 0 ? [{ action: 'user.updated', details: { fields } }] : []),
    ...(roles ? [{ action: 'user.roles-changed', details: { from: before.roles, to: roles } }] : []),
    ...(closes ? [{ action: 'user.deactivated' }] : []),
    ...(opens ? [{ action: 'user.activated' }] : []),
  ];
  const target = { type: 'user', id: String(before._id) };
  for (const entry of entries) await recordAudit({ connection, session, ...by, target, ...entry });
}
