import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { type MailKind, mailKinds } from '../runtime/mail.js';
import { accessor, tollgateSchema } from './accessor.js';

/** A mail that is to be sent. */
export interface MailRequest {
  readonly kind: MailKind;
  /** The canonical address. */
  readonly to: string;
  /** The one-time token that the mail carries: the row never holds the link itself. */
  readonly token?: Types.ObjectId | undefined;
  /** What the template may say beside that; no secrets. */
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** Seconds for which whoever delivers a mail has it to himself. */
export const leaseSeconds = 60;
const mostAttempts = 10;
/** What is known of a last attempt that nobody has told the end of. */
export const neverEnded = 'The last attempt never ended: its worker has died, or could not note it';

/** Those that have to be `alone` under way, or the others. */
type Which = { readonly alone: boolean };

/** A row that is older than the field `unended` has none. */
const due = ({ alone }: Which) => ({
  failedAt: null,
  unended: alone ? { $gt: 0 } : { $in: [0, null] },
  $expr: { $lte: ['$dueAt', '$$NOW'] },
});

/** Mails that wait to be sent: written in the transaction of what they tell of, deleted once they are delivered. */
export const outboxSchema = new Schema(
  {
    kind: { type: String, enum: mailKinds, required: true },
    to: { type: String, required: true },
    token: { type: Schema.Types.ObjectId, default: null },
    data: { type: Schema.Types.Mixed, default: {} },
    attempts: { type: Number, default: 0 },
    unended: { type: Number, default: 0 }, // the last attempts in a row of which nobody has told the end
    dueAt: { type: Date, required: true }, // also the end of a lease
    failedAt: { type: Date, default: null }, // given up; kept for a while to be looked at
    lastError: { type: String, default: null },
    createdAt: Date,
  },
  {
    collection: 'tollgate_outbox',
    strict: 'throw',
    minimize: false,
    statics: {
      async put(mail: MailRequest, session: ClientSession) {
        await this.insertMany([{ ...mail, dueAt: new Date(0) }], { session });
      },

      /** Whether `lease({ alone: true })` would find a mail. */
      async waitsAlone(): Promise<boolean> {
        return (await this.exists(due({ alone: true }))) !== null;
      },

      /**
       * The mail that has been due for longest, for `leaseSeconds` nobody else's; null when none is due. The attempt is counted now, for whoever makes it
       * may die of it. A mail whose last attempt never ended is leased only as one that is sent `alone`, those with the fewest such attempts first: whoever
       * takes it has no other under way and leases none until it ends, so that others do not die with it. After its last attempt it is given up in place of
       * being leased, and has a `failedAt`.
       */
      lease(which: Which) {
        const spent = { $gte: ['$attempts', mostAttempts] };
        const taken = {
          attempts: { $cond: [spent, '$attempts', { $add: ['$attempts', 1] }] },
          unended: { $add: [{ $ifNull: ['$unended', 0] }, 1] },
          dueAt: { $cond: [spent, '$dueAt', { $add: ['$$NOW', leaseSeconds * 1000] }] },
          failedAt: { $cond: [spent, '$$NOW', null] },
          lastError: { $cond: [spent, neverEnded, '$lastError'] },
        };
        return this.findOneAndUpdate(due(which), [{ $set: taken }], {
          sort: which.alone ? { unended: 1, dueAt: 1 } : { dueAt: 1 }, // each as the index gives it: nothing is sorted, however many wait
          updatePipeline: true,
          returnDocument: 'after',
        }).lean();
      },

      /** Ends a lease: the mail has gone out, or needs not to. */
      delivered({ _id, attempts }: Leased) {
        return this.deleteOne({ _id, attempts });
      },

      /** Ends a lease in vain: the mail is due again after 5 s, 10 s, 20 s, … an hour at most, and given up after ten attempts. */
      failed({ _id, attempts }: Leased, error: string) {
        const delay = Math.min(3_600, 5 * 2 ** (attempts - 1)) * 1000;
        const ended = {
          unended: 0,
          dueAt: { $add: ['$$NOW', delay] },
          failedAt: attempts >= mostAttempts ? '$$NOW' : null,
          lastError: { $literal: error.slice(0, 500) },
        };
        return this.updateOne({ _id, attempts }, [{ $set: ended }], { updatePipeline: true });
      },
    },
  },
);

/** A row as it was leased: only whoever holds the latest lease may end it. */
type Leased = { readonly _id: Types.ObjectId; readonly attempts: number };

outboxSchema.set('timestamps', { createdAt: true, updatedAt: false });
outboxSchema.index({ failedAt: 1, unended: 1, dueAt: 1 });
outboxSchema.index({ to: 1 });
outboxSchema.index({ failedAt: 1 }, { expireAfterSeconds: 2_592_000 });
tollgateSchema(outboxSchema);

export type StoredMail = InferSchemaType<typeof outboxSchema> & { _id: Types.ObjectId };
export const Outbox = accessor('Outbox', (connection) => connection.model('Outbox', outboxSchema));
