import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** Who did what to whom, when and from where; written in the transaction of the act. */
export const auditEntrySchema = new Schema(
  {
    at: { type: Date, required: true },
    action: { type: String, required: true }, // such as user.signed-in
    actor: { type: String, default: null }, // a user's id; null: nobody signed in
    target: { type: { type: String }, id: String },
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', default: null },
    ip: String,
    userAgent: String,
    requestId: String,
    redacted: { type: Boolean, default: undefined }, // its user was erased, and what was personal in it
    details: { type: Schema.Types.Mixed, default: {} },
  },
  { collection: 'tollgate_audit_entries', strict: 'throw', minimize: false },
);

auditEntrySchema.index({ organization: 1, at: -1 });
auditEntrySchema.index({ actor: 1, at: -1 });
auditEntrySchema.index({ action: 1, at: -1 });
auditEntrySchema.index({ 'target.id': 1, at: -1 });
tollgateSchema(auditEntrySchema);

export type StoredAuditEntry = InferSchemaType<typeof auditEntrySchema>;
export const AuditEntries = accessor('AuditEntry', (connection) =>
  connection.model('AuditEntry', auditEntrySchema),
);
