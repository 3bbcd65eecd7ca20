import type { Types } from 'mongoose';
import type { StoredMembership } from '../../../models/membership.js';
import type { StoredUser } from '../../../models/user.js';

/** A member as the others see them. */
export interface Member {
  readonly userId: string;
  readonly email: string;
  readonly name: string | null;
  readonly role: string;
  readonly teamIds: readonly string[];
  readonly joinedAt: Date;
}

export type FoundMembership = StoredMembership & { readonly _id: Types.ObjectId };

/** Shows a membership with its user. */
export function asMember(
  {
    _id,
    user,
    role,
    teams,
    createdAt,
  }: Pick<FoundMembership, '_id' | 'user' | 'role' | 'teams' | 'createdAt'>,
  { email, name }: Pick<StoredUser, 'email' | 'name'>,
): Member {
  return Object.freeze({
    userId: String(user),
    email,
    name: name ?? null,
    role,
    teamIds: Object.freeze(teams.map(String)),
    joinedAt: createdAt ?? _id.getTimestamp(),
  });
}
