import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

export const organizationSchema = new Schema(
  {
    name: { type: String, required: true },
    slug: { type: String, required: true },
    owners: { type: Number, required: true }, // a counter, so that a conditional write can guard the last one
    members: { type: Number, required: true },
    createdAt: Date,
    updatedAt: Date,
  },
  { collection: 'organizations', strict: 'throw' },
);

organizationSchema.set('timestamps', true);
organizationSchema.index({ slug: 1 }, { unique: true });
tollgateSchema(organizationSchema);

export type StoredOrganization = InferSchemaType<typeof organizationSchema>;
export const Organizations = accessor('Organization', (connection) =>
  connection.model('Organization', organizationSchema),
);
