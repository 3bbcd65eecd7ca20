import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** Which role: of an organization, or a global one. */
export interface RoleKey {
  readonly organization: Types.ObjectId | null;
  readonly name: string;
}

/** To users of which roles the holders of a role may do what: names, or '*'. */
const managementRulesSchema = new Schema(
  { create: Schema.Types.Mixed, update: Schema.Types.Mixed, delete: Schema.Types.Mixed },
  { _id: false },
);

/** A named set of permission codes: a global role, or one of an organization. */
export const roleSchema = new Schema(
  {
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', default: null },
    name: { type: String, required: true },
    permissions: { type: [String], default: [] },
    managementRules: { type: managementRulesSchema, default: null }, // null: the default ones; see services/roles/management.ts
    departures: { type: Number, default: undefined }, // of holders: what makes two at the same time conflict
    arrivals: { type: Number, default: undefined }, // of holders: what makes a deletion at the same time conflict
    acts: { type: Number, default: undefined }, // of holders, by what it holds: what makes a change at the same time conflict
    createdAt: Date,
    updatedAt: Date,
  },
  {
    collection: 'roles',
    strict: 'throw',
    statics: {
      /** Writes to a role that is being given to somebody, and gives it: of this and its deletion only one succeeds at a time. */
      hold(key: RoleKey, session: ClientSession) {
        const $inc = { arrivals: 1 };
        return this.findOneAndUpdate({ ...key }, { $inc }, { session, returnDocument: 'after' }).lean();
      },

      /** Writes to global roles that somebody acts by: of that and a change of them only one succeeds at a time. */
      noteAct(names: readonly string[], session: ClientSession) {
        const theirs = { organization: null, name: { $in: [...names] } };
        return this.updateMany(theirs, { $inc: { acts: 1 } }, { session, timestamps: false });
      },
    },
  },
);

roleSchema.set('timestamps', true);
roleSchema.index({ organization: 1, name: 1 }, { unique: true });
roleSchema.index({ organization: 1, _id: 1 });
tollgateSchema(roleSchema);

export type StoredRole = InferSchemaType<typeof roleSchema>;
export const Roles = accessor('Role', (connection) => connection.model('Role', roleSchema));
