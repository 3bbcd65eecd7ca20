import type { ClientSession, Connection, Types } from 'mongoose';
import { Memberships } from '../../models/membership.js';
import { Roles } from '../../models/role.js';
import { Users } from '../../models/user.js';
import { readUserId } from '../../models/user-id.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import { objectId } from '../../runtime/ids.js';
import type { Strictness } from '../../runtime/snapshot.js';
import { joined, membershipKey } from '../tenancy/membership-of.js';
import { permits } from '../tenancy/permits.js';
import { builtInPermissions, extensionOf, isBuiltIn, isExtension } from './built-in-roles.js';

/** What somebody may do, in the application and in one organization. Frozen: several requests share it. */
export interface Rights {
  /** The names of the global roles. */
  readonly roles: readonly string[];
  /** What those hold. */
  readonly global: readonly string[];
  /** The name of the role in the organization; null outside of it. */
  readonly organizationRole: string | null;
  /** What that holds. */
  readonly organization: readonly string[];
}

/** Whether they include the permission `code`. */
export const holds = ({ global, organization }: Rights, code: string): boolean =>
  permits(global, code) || permits(organization, code);

export const rights = freshCache<Rights>(50_000);
const nothing: Rights = Object.freeze({
  roles: Object.freeze([]),
  global: Object.freeze([]),
  organizationRole: null,
  organization: Object.freeze([]),
});

/**
 * What a user may do by their global roles, and by their role in an organization where one is named; nothing when they are unknown or deactivated.
 * Remembered until the user, the organization or a global role changes.
 *
 * @throws {TollgateError} `database_unavailable` (503)
 */
export function rightsOf(
  connection: Connection,
  {
    userId,
    organizationId,
    strict,
  }: { userId: string; organizationId?: string | undefined; strict: Strictness },
): Rights | Promise<Rights> {
  const key = rightsKey(userId, organizationId);
  const known = rights(connection).known(key, strict);
  if (known) return known;
  const organization = objectId(organizationId);
  const subjects = [`user:${userId}`, 'roles', ...(organization ? [`organization:${organization}`] : [])];
  const load = async () => {
    const user = readUserId(connection, userId);
    return user ? readRights(connection, { user, organization }) : nothing;
  };
  return rights(connection).get(key, subjects, load, strict);
}

/** Under what they are remembered. */
export const rightsKey = (userId: string, organizationId?: string): string =>
  organizationId === undefined ? `${userId.length} ${userId}` : membershipKey(userId, organizationId);

/** A user's global roles and membership with the definitions of all of them. */
export interface FoundRights {
  readonly roles?: readonly string[];
  readonly memberships?: readonly { readonly role: string }[];
  readonly global: readonly { readonly name: string; readonly permissions: readonly string[] }[];
  readonly own?: readonly { readonly permissions: readonly string[] }[] | undefined;
}

/** The same as the database has it now, in one command; in the transaction of `session` before somebody grants something. */
export async function readRights(
  connection: Connection,
  { user, organization }: { user: Types.ObjectId; organization: Types.ObjectId | null },
  session: ClientSession | null = null,
): Promise<Rights> {
  const [found] = await Users(connection)
    .aggregate<FoundRights>([
      { $match: { _id: user, status: { $ne: 'inactive' } } },
      ...(organization ? membershipIn(connection, organization) : []),
      ...rolesOfBoth(connection, organization),
      { $project: { roles: 1, memberships: 1, global: 1, own: 1 } },
    ])
    .session(session);
  return found ? asRights(found) : nothing;
}

/** The membership in an organization that is there: it counts no more once that is deleted, though it is cleared later. */
const membershipIn = (connection: Connection, organization: Types.ObjectId) => [
  {
    $lookup: {
      from: Memberships(connection).collection.name,
      localField: '_id',
      foreignField: 'user',
      pipeline: [...joined(connection, { organization }, 1), { $project: { role: 1 } }],
      as: 'memberships',
    },
  },
];

/** The definitions of the global roles, of what applications add to the built-in one, and of the organization's own. */
function rolesOfBoth(connection: Connection, organization: Types.ObjectId | null) {
  const from = Roles(connection).collection.name;
  const definitions = (of: Types.ObjectId | null, localField: string, as: string) => ({
    $lookup: {
      from,
      localField,
      foreignField: 'name',
      pipeline: [{ $match: { organization: of } }, { $project: { name: 1, permissions: 1 } }],
      as,
    },
  });
  if (!organization) return [definitions(null, 'roles', 'global')];
  const extensions = { $map: { input: '$memberships', in: { $concat: [extensionOf(''), '$$this.role'] } } };
  const names = { $concatArrays: [{ $ifNull: ['$roles', []] }, extensions] };
  return [
    { $set: { names } },
    definitions(null, 'names', 'global'),
    definitions(organization, 'memberships.role', 'own'),
  ];
}

export function asRights({ roles = [], memberships = [], global, own = [] }: FoundRights): Rights {
  const role = memberships[0]?.role ?? null;
  const codesOf = (definitions: FoundRights['own'] = []) =>
    definitions.flatMap(({ permissions }) => permissions);
  const held = global.filter(({ name }) => roles.includes(name) && !isExtension(name));
  return Object.freeze({
    roles: Object.freeze([...roles]),
    global: Object.freeze(codesOf(held)),
    organizationRole: role,
    organization: Object.freeze(role === null ? [] : codesIn(role, codesOf(own), global)),
  });
}

/** A built-in role holds what it always does, and what the application adds; any other what the organization says. */
function codesIn(role: string, own: readonly string[], global: FoundRights['global']): readonly string[] {
  if (!isBuiltIn(role)) return own;
  const added = global.filter(({ name }) => name === extensionOf(role));
  return [...builtInPermissions(role), ...added.flatMap(({ permissions }) => permissions)];
}
