import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
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
    apiKeysMade: { type: Number, default: undefined }, // what makes making a key for it and ending it at the same time conflict
    createdAt: Date,
    updatedAt: Date,
  },
  {
    collection: 'memberships',
    strict: 'throw',
    statics: {
      /** Takes a team from memberships, also as the current one: both at once, so that nobody chooses it in between. */
      leaveTeam(ids: readonly Types.ObjectId[], team: Types.ObjectId) {
        const teams = { $filter: { input: '$teams', cond: { $ne: ['$$this', team] } } };
        const currentTeam = { $cond: [{ $eq: ['$currentTeam', team] }, null, '$currentTeam'] };
        const these = { _id: { $in: [...ids] }, teams: team };
        return this.updateMany(these, [{ $set: { teams, currentTeam } }], { updatePipeline: true });
      },

      /** Notes that API keys are made for memberships, or none any more: whoever makes one or ends them meanwhile waits, or conflicts. */
      noteApiKeys(ids: readonly Types.ObjectId[], session?: ClientSession) {
        const these = { _id: { $in: [...ids] } };
        const options = { timestamps: false, ...(session && { session }) };
        return this.updateMany(these, { $inc: { apiKeysMade: 1 } }, options);
      },
    },
  },
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
