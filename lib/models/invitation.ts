import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** What an invitation says. */
export interface InvitationIssue {
  readonly organization: Types.ObjectId;
  /** Canonical form, see services/identity/canonical-email.ts. */
  readonly email: string;
  readonly role: string;
  readonly teams: readonly Types.ObjectId[];
  /** The id of the user who sent it last, and must still be allowed to give the role when it is accepted; null: the application. */
  readonly invitedBy: string | null;
}

/** The filter of invitations that have not expired, by the database's clock. */
export const liveInvitation = { $expr: { $gt: ['$expiresAt', '$$NOW'] } };

/**
 * An invitation into an organization; the document is gone when it was accepted, declined or revoked. Only its id is stored: the text
 * that the invited person presents is derived from the id by a signing key.
 */
export const invitationSchema = new Schema(
  {
    organization: { type: Schema.Types.ObjectId, ref: 'Organization', required: true },
    email: { type: String, required: true },
    role: { type: String, required: true },
    teams: [{ type: Schema.Types.ObjectId, ref: 'Team' }],
    invitedBy: { type: String, default: null },
    createdAt: { type: Date, required: true },
    expiresAt: { type: Date, required: true },
  },
  {
    collection: 'invitations',
    strict: 'throw',
    statics: {
      /** Stores an invitation that expires `seconds` from now, by the database's clock; prolongs one that is there. */
      issue(_id: Types.ObjectId, issue: InvitationIssue, seconds: number, session: ClientSession) {
        const literal = Object.entries(issue).map(([field, value]) => [field, { $literal: value }]);
        const times = {
          createdAt: { $ifNull: ['$createdAt', '$$NOW'] },
          expiresAt: { $add: ['$$NOW', seconds * 1000] },
        };
        const update = [{ $set: { ...Object.fromEntries(literal), ...times } }];
        const options = { upsert: true, updatePipeline: true, returnDocument: 'after', session } as const;
        return this.findOneAndUpdate({ _id }, update, options).orFail().lean();
      },

      /** Takes an invitation out of circulation, once; null when it is unknown, expired or for another address. */
      redeem(_id: Types.ObjectId, email: string, session: ClientSession) {
        return this.findOneAndDelete({ _id, email, ...liveInvitation }, { session }).lean();
      },
    },
  },
);

invitationSchema.index({ email: 1, organization: 1 }, { unique: true });
invitationSchema.index({ organization: 1, _id: 1 });
invitationSchema.index({ expiresAt: 1 }, { expireAfterSeconds: 86_400 }); // housekeeping: reads judge expiry
tollgateSchema(invitationSchema);

export type StoredInvitation = InferSchemaType<typeof invitationSchema>;
export const Invitations = accessor('Invitation', (connection) =>
  connection.model('Invitation', invitationSchema),
);
