import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

export const teamSchema = new Schema(
  {
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', required: true },
    name: { type: String, required: true },
    createdAt: Date,
    updatedAt: Date,
  },
  { collection: 'teams', strict: 'throw' },
);

teamSchema.set('timestamps', true);
teamSchema.index({ organization: 1, name: 1 }, { unique: true });
tollgateSchema(teamSchema);

export type StoredTeam = InferSchemaType<typeof teamSchema>;
export const Teams = accessor('Team', (connection) => connection.model('Team', teamSchema));
