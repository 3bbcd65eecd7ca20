import type { Connection, PipelineStage, Types } from 'mongoose';
import { Memberships } from '../models/membership.js';
import { Roles } from '../models/role.js';
import { type SubscriptionNow, Subscriptions, timeLeft } from '../models/subscription.js';
import { Snapshot } from '../runtime/snapshot.js';
import { type Subject, subjectKey } from '../runtime/subject.js';
import { type ReadSubscription, subscriptionsRead } from './plans/entitlements-of.js';
import { extensionOf } from './roles/built-in-roles.js';
import { asRights, type FoundRights, rights, rightsKey } from './roles/rights-of.js';
import {
  asBelonging,
  type Joined,
  joined,
  membershipKey,
  memberships,
  onlyOnes,
} from './tenancy/membership-of.js';

type Facet = NonNullable<PipelineStage.Lookup['$lookup']['pipeline']>;

/** What the guards after a strict `authenticate()` decide by, as one command has read it together with the user. */
export interface Foreseen {
  readonly memberships: readonly (Joined & {
    readonly own: FoundRights['own'];
    readonly subscriptions: readonly SubscriptionNow[];
  })[];
  /** Definitions of global roles, and of those that add to the built-in ones of organizations. */
  readonly global: FoundRights['global'];
  readonly subscriptions: readonly SubscriptionNow[];
}

/** For whom it is read. */
export interface Asked {
  /** The id of the user, as a text. */
  readonly userId: string;
  /** That the request names; null: none. */
  readonly organization: Types.ObjectId | null;
}

/**
 * The stages that read all that for whoever is `asked` for, the first of `users`, by the user's id in `user`: of the organization that is `named`,
 * or where none is, of two, which is enough to tell whether there is just one.
 */
export function foresight(connection: Connection, named: boolean): Facet {
  const held = { $ifNull: [{ $arrayElemAt: ['$users.roles', 0] }, []] };
  const added = { $map: { input: '$memberships', in: { $concat: [extensionOf(''), '$$this.role'] } } };
  return [
    {
      $lookup: {
        from: Memberships(connection).collection.name,
        localField: 'user',
        foreignField: 'user',
        let: { named: '$asked.organization' },
        pipeline: inOrganization(connection, named ? { $expr: { $eq: ['$organization', '$$named'] } } : {}),
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
    subscriptionOf(connection, 'user', '$asked.userId'),
  ];
}

const inOrganization = (connection: Connection, which: object): Facet => [
  ...joined(connection, which, 2),
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
  subscriptionOf(connection, 'organization', { $toString: '$organization._id' }),
];

function subscriptionOf(connection: Connection, type: Subject['type'], id: unknown) {
  const whose = { $match: { 'subject.type': type, $expr: { $eq: ['$subject.id', '$$id'] } } };
  const pipeline = [whose, timeLeft];
  const from = Subscriptions(connection).collection.name;
  return { $lookup: { from, let: { id }, pipeline, as: 'subscriptions' } };
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
  const addPlan = (subject: Subject, [subscription]: readonly SubscriptionNow[]) =>
    snapshot.put(subscriptionsRead, subjectKey(subject), { subscription } satisfies ReadSubscription);
  const { id: userId, roles } = user;
  for (const each of belongings) {
    const belonging = asBelonging(each);
    const { id } = belonging.organization;
    snapshot.put(memberships(connection), membershipKey(userId, id), belonging);
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
