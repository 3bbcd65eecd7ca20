import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** Where a chain ends, with the MAC that proves it. */
export interface AuditTip {
  readonly seq: number;
  readonly chain: string;
  readonly keyId: string;
  readonly mac: string;
}

/** A head as a sealer has leased it: only whoever holds the lease moves it on. */
export interface LeasedHead {
  readonly _id: string;
  readonly holder: string;
  readonly seq: number;
}

/** Seconds after which the chain that a dead process was sealing is another's. */
const leaseSeconds = 10;
const leaseEnds = { $add: ['$$NOW', leaseSeconds * 1000] };

/** What a chain is called: by the id of its organization; `global` is that of the entries without one. */
export const chainName = (organization: Types.ObjectId | null | undefined): string =>
  organization ? String(organization) : 'global';

/** The id of the organization whose chain has that name. */
export const organizationOf = (name: string): string | null => (name === 'global' ? null : name);

/** The end of each chain of the audit log, so that a lost tail is noticed. */
export const auditHeadSchema = new Schema(
  {
    _id: { type: String, required: true },
    seq: { type: Number, required: true }, // 0: nothing is sealed yet
    chain: { type: String, default: '' },
    keyId: { type: String, default: null },
    mac: { type: String, default: null },
    holder: { type: String, default: null },
    heldUntil: { type: Date, default: null },
  },
  {
    collection: 'tollgate_audit_heads',
    strict: 'throw',
    statics: {
      /** Lends a chain to `holder`, unless another has it: true when it is his. */
      async lease(_id: string, holder: string): Promise<boolean> {
        const free = { $lte: [{ $ifNull: ['$heldUntil', new Date(0)] }, '$$NOW'] };
        const taken = {
          seq: { $ifNull: ['$seq', 0] },
          chain: { $ifNull: ['$chain', ''] },
          holder: { $cond: [free, holder, '$holder'] },
          heldUntil: { $cond: [free, leaseEnds, '$heldUntil'] },
        };
        const options = { upsert: true, updatePipeline: true, returnDocument: 'after' } as const;
        const head = await this.findOneAndUpdate({ _id }, [{ $set: taken }], options).lean();
        return head?.holder === holder;
      },

      release(_id: string, holder: string) {
        return this.updateOne({ _id, holder }, { $set: { heldUntil: null } });
      },

      /** Moves a head on from where it was read: true when nobody else has. */
      async advance(from: LeasedHead, tip: AuditTip, session: ClientSession): Promise<boolean> {
        const moved = [{ $set: { ...tip, heldUntil: leaseEnds } }];
        return (await this.updateOne(from, moved, { session, updatePipeline: true })).modifiedCount === 1;
      },

      /** Gives a head that has not moved the MAC of a newer key. */
      sign(
        { _id, seq, chain }: Pick<AuditTip, 'seq' | 'chain'> & { _id: string },
        by: Pick<AuditTip, 'keyId' | 'mac'>,
      ) {
        return this.updateOne({ _id, seq, chain }, { $set: by });
      },
    },
  },
);

auditHeadSchema.index({ keyId: 1 });
tollgateSchema(auditHeadSchema);

export type StoredAuditHead = InferSchemaType<typeof auditHeadSchema>;
export const AuditHeads = accessor('AuditHead', (connection) =>
  connection.model('AuditHead', auditHeadSchema),
);
