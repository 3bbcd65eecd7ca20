import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

export const teamSchema = new Schema(
  {
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', required: true },
    name: { type: String, required: true },
    joins: { type: Number, default: undefined }, // what makes joining it and deleting it at the same time conflict
    createdAt: Date,
    updatedAt: Date,
  },
  {
    collection: 'teams',
    strict: 'throw',
    statics: {
      /** Notes that somebody joins teams of an organization: of the teams that it matches, nobody can delete one meanwhile. */
      noteJoin(organization: Types.ObjectId, ids: readonly Types.ObjectId[], session: ClientSession) {
        const these = { _id: { $in: [...ids] }, organization };
        return this.updateMany(these, { $inc: { joins: 1 } }, { session, timestamps: false });
      },
    },
  },
);

teamSchema.set('timestamps', true);
teamSchema.index({ organization: 1, name: 1 }, { unique: true });
teamSchema.index({ organization: 1, _id: 1 });
tollgateSchema(teamSchema);

export type StoredTeam = InferSchemaType<typeof teamSchema>;
export const Teams = accessor('Team', (connection) => connection.model('Team', teamSchema));
