import type { Connection, PipelineStage } from 'mongoose';
import { Memberships } from '../models/membership.js';
import { Organizations } from '../models/organization.js';
import { Roles } from '../models/role.js';
import { type StoredSubscription, Subscriptions } from '../models/subscription.js';
import { objectId } from '../runtime/ids.js';
import { Snapshot } from '../runtime/snapshot.js';
import { type Subject, subjectKey } from '../runtime/subject.js';
import { type ReadSubscription, subscriptionsRead } from './plans/entitlements-of.js';
import { extensionOf } from './roles/built-in-roles.js';
import { asRights, type FoundRights, rights, rightsKey } from './roles/rights-of.js';
import { asBelonging, type Joined, memberships, onlyOnes } from './tenancy/membership-of.js';

type Facet = NonNullable<PipelineStage.Lookup['$lookup']['pipeline']>;

/** What the guards after a strict `authenticate()` decide by, as one command has read it together with the user. */
export interface Foreseen {
  readonly memberships: readonly (Joined & {
    readonly own: FoundRights['own'];
    readonly subscriptions: readonly StoredSubscription[];
  })[];
  /** Definitions of global roles, and of those that add to the built-in ones of organizations. */
  readonly global: FoundRights['global'];
  readonly subscriptions: readonly StoredSubscription[];
}

/**
 * The stages that read all that for the first of `users`, by the user's id in `user`: of the organization that a request names, or where it names none of two,
 * which is enough to tell whether there is just one. Nothing for a malformed id.
 */
export function foresight(connection: Connection, organizationId: string | undefined): Facet {
  const named = objectId(organizationId);
  if (organizationId !== undefined && !named) return [];
  const held = { $ifNull: [{ $arrayElemAt: ['$users.roles', 0] }, []] };
  const added = { $map: { input: '$memberships', in: { $concat: [extensionOf(''), '$$this.role'] } } };
  return [
    {
      $lookup: {
        from: Memberships(connection).collection.name,
        localField: 'user',
        foreignField: 'user',
        pipeline: [...(named ? [{ $match: { organization: named } }] : []), ...inOrganization(connection)],
        as: 'memberships',
      },
    },
    { $set: { names: { $concatArrays: [held, added] } } },
    {
      $lookup: {
        from: Roles(connection).collection.name,
        localField: 'names',
        foreignField: 'name',
        pipeline: [{ $match: { organization: null } }, { $project: { name: 1, permissions: 1 } }],
        as: 'global',
      },
    },
    subscriptionOf(connection, 'user', '$user'),
  ];
}

const inOrganization = (connection: Connection): Facet => [
  {
    $lookup: {
      from: Organizations(connection).collection.name,
      localField: 'organization',
      foreignField: '_id',
      pipeline: [{ $project: { name: 1, slug: 1 } }],
      as: 'organization',
    },
  },
  { $unwind: '$organization' },
  { $limit: 2 },
  {
    $lookup: {
      from: Roles(connection).collection.name,
      localField: 'role',
      foreignField: 'name',
      let: { organization: '$organization._id' },
      pipeline: [
        { $match: { $expr: { $eq: ['$organization', '$$organization'] } } },
        { $project: { permissions: 1 } },
      ],
      as: 'own',
    },
  },
  subscriptionOf(connection, 'organization', '$organization._id'),
];

function subscriptionOf(connection: Connection, type: Subject['type'], id: string) {
  const whose = { $match: { 'subject.type': type, $expr: { $eq: ['$subject.id', '$$id'] } } };
  const pipeline = [whose, { $project: { plan: 1, planVersion: 1 } }];
  const from = Subscriptions(connection).collection.name;
  return { $lookup: { from, let: { id: { $toString: id } }, pipeline, as: 'subscriptions' } };
}

/** Puts what was read where the guards look first. */
export function snapshotOf(
  connection: Connection,
  user: { readonly id: string; readonly roles: readonly string[] },
  found: Partial<Foreseen>,
  named: boolean,
): Snapshot {
  const snapshot = new Snapshot();
  const { memberships: belongings, global, subscriptions } = found;
  if (!belongings || !global || !subscriptions) return snapshot;
  const addPlan = (subject: Subject, [subscription]: readonly StoredSubscription[]) =>
    snapshot.put(subscriptionsRead, subjectKey(subject), { subscription } satisfies ReadSubscription);
  const { id: userId, roles } = user;
  for (const each of belongings) {
    const belonging = asBelonging(each);
    const { id } = belonging.organization;
    snapshot.put(memberships(connection), JSON.stringify([userId, id]), belonging);
    const here = { roles, memberships: [each], global, own: each.own };
    snapshot.put(rights(connection), rightsKey(userId, id), asRights(here));
    addPlan({ type: 'organization', id }, each.subscriptions);
  }
  const ids = belongings.map(({ organization }) => String(organization._id));
  if (!named) snapshot.put(onlyOnes(connection), userId, { ids });
  snapshot.put(rights(connection), rightsKey(userId), asRights({ roles, global }));
  addPlan({ type: 'user', id: userId }, subscriptions);
  return snapshot;
}
