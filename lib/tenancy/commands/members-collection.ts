import type { Connection, Types } from 'mongoose';
import { Memberships } from '../../models/membership.js';
import { credentialPaths } from '../../models/user.js';
import type { Access } from '../access.js';
import { gate } from '../gate.js';
import { beyondTenant } from '../needs-tenant.js';
import type { Plain, RawCollection } from '../registry.js';
import { membersAmong } from './check-references.js';
import { facts } from './closed-collection.js';
import { commandOptions } from './command-options.js';
import { ownCursor } from './own-cursor.js';
import { isPlain, snapshotOf } from './snapshot.js';

/** What nobody but a sign-in reads of a user, and what only makes writes conflict. */
const hidden: readonly string[] = [
  ...credentialPaths,
  'credentialEpoch',
  'apiKeysMade',
  'joins',
  'globalActs',
];
const isHidden = (path: string) => hidden.includes(path.split('.', 1)[0] as string);

interface Members {
  readonly access: Access;
  readonly raw: RawCollection;
}

/** The users whom a tenant's documents refer to, as populate reads them: by `_id`, members of the organization only, without what they sign in by. */
export function membersCollection({ access, raw }: Members): object {
  return gate(
    {
      ...facts(raw),
      buffer: false,
      collection: true,
      find(filter?: unknown, options?: unknown) {
        const given = snapshotOf(filter, 'A filter');
        const [ids, shown] = [idsOf(given), shownOptions(options)];
        return ownCursor('User', access.check, async () => {
          const { connection, organization } = access;
          const $in = organization ? await membersAmong(connection, organization, ids, shown.session) : [];
          return raw.find({ $and: [{ _id: { $in } }, given] }, shown);
        });
      },
    },
    (name) => beyondTenant('User', `collection.${name}()`),
  );
}

/** The ids that a filter asks for. It may ask for more of them, but for nothing hidden: even a yes or no would tell something. */
function idsOf({ _id, ...more }: Plain): readonly unknown[] {
  const ids = isPlain(_id) ? (_id.$in ?? (_id.$eq === undefined ? undefined : [_id.$eq])) : _id && [_id];
  if (!Array.isArray(ids)) throw beyondTenant('User', 'A filter by anything but _id');
  const secret = Object.keys(more).find((path) => path.startsWith('$') || isHidden(path));
  if (secret !== undefined) throw beyondTenant('User', `A filter by ${secret}`);
  return ids;
}

function shownOptions(options: unknown) {
  const given = commandOptions(options);
  const projection = (given.projection ?? {}) as Plain;
  if (given.collation) throw beyondTenant('User', 'A collation');
  const sorted = Object.keys((given.sort ?? {}) as Plain).find(isHidden);
  if (sorted !== undefined) throw beyondTenant('User', `A sort by ${sorted}`);
  const computed = Object.keys(projection).find(
    (path) => ![0, 1, true, false].includes(projection[path] as number),
  );
  if (computed !== undefined) throw beyondTenant('User', `A projection that computes ${computed}`);
  return { ...given, projection: shownProjection(projection) };
}

function shownProjection(projection: Plain): Plain {
  const includes = Object.entries(projection).some(([path, shown]) => path !== '_id' && Boolean(shown));
  if (!includes && projection._id !== 1 && projection._id !== true)
    return { ...projection, ...Object.fromEntries(hidden.map((path) => [path, 0])) };
  return { _id: 1, ...Object.fromEntries(Object.entries(projection).filter(([path]) => !isHidden(path))) };
}

/** The stages by which a `$lookup` finds members only, without what they sign in by. */
export const memberStages = (connection: Connection, organization: Types.ObjectId): Plain[] => [
  {
    $lookup: {
      from: Memberships(connection).collection.name,
      localField: '_id',
      foreignField: 'user',
      pipeline: [{ $match: { organization } }, { $project: { _id: 1 } }],
      as: '_membership',
    },
  },
  { $match: { '_membership.0': { $exists: true } } },
  { $unset: ['_membership', ...hidden] },
];
