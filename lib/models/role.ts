import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** A named set of permission codes: a global role, or one of an organization. */
export const roleSchema = new Schema(
  {
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', default: null },
    name: { type: String, required: true },
    permissions: { type: [String], default: [] },
    departures: { type: Number, default: undefined }, // of holders: what makes two at the same time conflict
    createdAt: Date,
    updatedAt: Date,
  },
  { collection: 'roles', strict: 'throw' },
);

roleSchema.set('timestamps', true);
roleSchema.index({ organization: 1, name: 1 }, { unique: true });
tollgateSchema(roleSchema);

export type StoredRole = InferSchemaType<typeof roleSchema>;
export const Roles = accessor('Role', (connection) => connection.model('Role', roleSchema));
