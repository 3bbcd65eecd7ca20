import type { Types } from 'mongoose';
import type { StoredInvitation } from '../../../models/invitation.js';

/** An invitation as the members see it. */
export interface Invitation {
  readonly id: string;
  readonly email: string;
  readonly role: string;
  readonly teamIds: readonly string[];
  readonly expiresAt: Date;
}

export type FoundInvitation = StoredInvitation & { readonly _id: Types.ObjectId };

export function asInvitation({ _id, email, role, teams, expiresAt }: FoundInvitation): Invitation {
  return Object.freeze({
    id: String(_id),
    email,
    role,
    teamIds: Object.freeze(teams.map(String)),
    expiresAt,
  });
}
