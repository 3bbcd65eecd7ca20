import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';
import { referringToUsers } from './user-id.js';

/** A user in an organization, with a role there and any number of its teams. */
export const membershipSchema = new Schema(
  {
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', required: true },
    user: { type: Schema.Types.ObjectId, ref: 'User', required: true },
    role: { type: String, required: true },
    teams: [{ type: Schema.Types.ObjectId, ref: 'Team' }],
    suspended: { type: Boolean, default: undefined }, // of a deactivated owner, who is not among the organization's counted owners
    currentTeam: { type: Schema.Types.ObjectId, ref: 'Team', default: null },
    createdAt: Date,
    updatedAt: Date,
  },
  { collection: 'memberships', strict: 'throw' },
);

membershipSchema.set('timestamps', true);
membershipSchema.index({ user: 1, organization: 1 }, { unique: true });
membershipSchema.index({ organization: 1, _id: 1 });
membershipSchema.index({ organization: 1, role: 1, _id: 1 });
membershipSchema.index({ organization: 1, teams: 1, _id: 1 });
tollgateSchema(membershipSchema);

export type StoredMembership = InferSchemaType<typeof membershipSchema>;
export const Memberships = accessor('Membership', (connection) =>
  connection.model('Membership', referringToUsers(connection, membershipSchema)),
);
