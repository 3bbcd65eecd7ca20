import { type ClientSession, type InferSchemaType, Schema, type UpdateQuery } from 'mongoose';
import type { Subject } from '../runtime/subject.js';
import { accessor, tollgateSchema } from './accessor.js';

/** A subscription as it is read. */
export interface SubscriptionNow {
  readonly subject: Subject;
  readonly plan: string | null;
  readonly planVersion: number | null;
  readonly expiresAt: Date | null;
  /** Milliseconds that the plan had left when it was read; null: it has no end. */
  readonly msLeft: number | null;
  readonly overrides?: Readonly<Record<string, number | null>> | undefined;
  readonly version: number;
  readonly anchor: Date | null;
  readonly createdAt: Date;
}

/** The stage that makes of a stored subscription one as it is read. */
export const timeLeft = { $set: { msLeft: { $subtract: ['$expiresAt', '$$NOW'] } } };

/** The plan of a subject, and what it may use beside or below it; whoever has none is on the default plan. */
export const subscriptionSchema = new Schema(
  {
    subject: {
      type: { type: String, enum: ['user', 'organization', 'team'], required: true },
      id: { type: String, required: true },
    },
    plan: { type: String, default: null }, // null: the default plan, whichever that is
    planVersion: { type: Number, default: null },
    expiresAt: { type: Date, default: null }, // the end of the plan; every read judges it
    overrides: { type: Schema.Types.Mixed, default: undefined }, // limits by feature, null: none; they go before the plan's
    version: { type: Number, default: 0 }, // see `change`
    anchor: { type: Date, default: null }, // what months of billing are counted from; null: createdAt
    createdAt: Date,
    updatedAt: Date,
  },
  {
    collection: 'subscriptions',
    strict: 'throw',
    minimize: false,
    statics: {
      /** The subscriptions of subjects of one type, as they are now. */
      now(type: Subject['type'], ids: readonly string[], session?: ClientSession) {
        const theirs = { 'subject.type': type, 'subject.id': { $in: [...ids] } };
        return this.aggregate<SubscriptionNow>([{ $match: theirs }, timeLeft]).session(session ?? null);
      },

      /**
       * Changes the subscription of a subject, in the transaction of everything else that follows from it. Its version grows by two,
       * because the end of a plan, which nobody writes, counts as one.
       */
      change(
        { type, id }: Subject,
        update: UpdateQuery<object>,
        session: ClientSession,
        { only = {}, upsert }: { only?: object | undefined; upsert: boolean },
      ) {
        const who = { 'subject.type': type, 'subject.id': id, ...only };
        return this.updateOne(who, { ...update, $inc: { version: 2 } }, { session, upsert });
      },
    },
  },
);

subscriptionSchema.set('timestamps', true);
subscriptionSchema.index({ 'subject.type': 1, 'subject.id': 1 }, { unique: true });
subscriptionSchema.index({ expiresAt: 1 });
tollgateSchema(subscriptionSchema);

export type StoredSubscription = InferSchemaType<typeof subscriptionSchema>;

export const Subscriptions = accessor('Subscription', (connection) =>
  connection.model('Subscription', subscriptionSchema),
);
