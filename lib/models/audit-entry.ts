import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** The place of an entry in the chain of its organization. */
export interface AuditLink {
  readonly _id: Types.ObjectId;
  /** Counts from 1 without a gap. */
  readonly seq: number;
  /** `chain` of the entry before; empty for the first. */
  readonly previous: string;
  /** Covers the entry, and through `previous` all before it. */
  readonly chain: string;
}

/** Who did what to whom, when and from where; written in the transaction of the act, and linked to those before it a moment later. */
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
    details: { type: Schema.Types.Mixed, default: {} },
    redacted: { type: Boolean, default: undefined }, // its user was erased, and what was personal in it
    salt: String, // goes with what is personal: without it `personal` tells nothing
    personal: String, // the digest of salt, ip, userAgent and details, which the MAC covers in their place
    keyId: String, // names the key of the MAC; absent where no key was known
    mac: String,
    sealed: { type: Boolean, default: false }, // whether it stands in its chain
    seq: Number,
    previous: String,
    chain: String,
  },
  {
    collection: 'tollgate_audit_entries',
    strict: 'throw',
    minimize: false,
    statics: {
      /** Puts entries into their chain that are in none yet; gives how many were not. */
      async link(links: readonly AuditLink[], session: ClientSession): Promise<number> {
        const writes = links.map(({ _id, ...link }) => ({
          updateOne: { filter: { _id, sealed: false }, update: { $set: { sealed: true, ...link } } },
        }));
        return (await this.bulkWrite(writes, { session })).modifiedCount;
      },
    },
  },
);

auditEntrySchema.index({ organization: 1, at: -1, _id: -1 }); // this and the next two: for the list of an organization
auditEntrySchema.index({ organization: 1, action: 1, at: -1, _id: -1 });
auditEntrySchema.index({ organization: 1, actor: 1, at: -1, _id: -1 });
auditEntrySchema.index({ actor: 1, _id: 1 });
auditEntrySchema.index({ at: -1, _id: -1 }); // this and the next three: for searches in the whole of it
auditEntrySchema.index({ action: 1, at: -1, _id: -1 });
auditEntrySchema.index({ actor: 1, at: -1, _id: -1 });
auditEntrySchema.index({ 'target.id': 1, at: -1, _id: -1 });
auditEntrySchema.index({ organization: 1, seq: 1, _id: 1 });
auditEntrySchema.index(
  { sealed: 1, organization: 1, _id: 1 },
  { partialFilterExpression: { sealed: false } },
);
tollgateSchema(auditEntrySchema);

export type StoredAuditEntry = InferSchemaType<typeof auditEntrySchema>;
export const AuditEntries = accessor('AuditEntry', (connection) =>
  connection.model('AuditEntry', auditEntrySchema),
);
