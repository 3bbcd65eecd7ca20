import { type InferSchemaType, Schema, Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

export const reservationStates = ['held', 'committed', 'released', 'expired'] as const;

/** What is known of a hold when its units have been taken. */
export interface NewReservation {
  readonly subject: { readonly type: string; readonly id: string };
  readonly feature: string;
  readonly counter: string;
  readonly amount: number;
  readonly price: number;
  readonly from: Date;
  readonly terms: object;
  /** Seconds. */
  readonly expiresIn: number;
}

/**
 * Units that are held until their use is known: held → committed, released or expired, by one conditional write.
 *
 * The counter of `counter` has counted `amount * price` of them in the period that began at `from`.
 */
export const reservationSchema = new Schema(
  {
    subject: {
      type: { type: String, enum: ['user', 'organization', 'team'], required: true },
      id: { type: String, required: true },
    },
    feature: { type: String, required: true },
    counter: { type: String, required: true }, // the feature itself, or `credits`
    amount: { type: Number, required: true }, // of the feature
    price: { type: Number, required: true }, // of one, in units of the counter
    from: { type: Date, required: true },
    terms: { type: Schema.Types.Mixed, required: true }, // that the counter was kept by, for what goes back
    state: { type: String, enum: reservationStates, required: true },
    createdAt: { type: Date, required: true },
    expiresAt: { type: Date, required: true },
    settledAt: { type: Date, default: null },
    settledBy: { type: Schema.Types.ObjectId, default: null }, // the attempt that did it
    asked: { type: Number, default: null }, // what the commit said was used
    used: { type: Number, default: null }, // what of that was paid for
  },
  {
    collection: 'reservations',
    strict: 'throw',
    statics: {
      /** Stores a hold that expires by the database's clock. */
      async hold({ expiresIn, ...facts }: NewReservation) {
        const literal = Object.entries(facts).map(([field, value]) => [field, { $literal: value }]);
        const times = { createdAt: '$$NOW', expiresAt: { $add: ['$$NOW', expiresIn * 1000] } };
        const rest = { state: 'held', settledAt: null, settledBy: null, asked: null, used: null };
        return this.findOneAndUpdate(
          { _id: new Types.ObjectId() },
          [{ $set: { ...Object.fromEntries(literal), ...times, ...rest } }],
          { upsert: true, updatePipeline: true, returnDocument: 'after' },
        ).lean();
      },

      /** Holds that have expired and that nobody has given back yet: of some counters, or any. */
      overdue(counters: readonly object[], limit: number) {
        const due = {
          ...(counters.length > 0 && { $or: [...counters] }),
          state: 'held' as const,
          $expr: { $lte: ['$expiresAt', '$$NOW'] },
        };
        return this.find(due).sort({ expiresAt: 1 }).limit(limit).lean();
      },
    },
  },
);

reservationSchema.index({ state: 1, expiresAt: 1 });
reservationSchema.index({ 'subject.type': 1, 'subject.id': 1, counter: 1, state: 1, expiresAt: 1 });
reservationSchema.index({ settledAt: 1 }, { expireAfterSeconds: 86_400 }); // housekeeping: a commit may be repeated for a day
tollgateSchema(reservationSchema);

export type StoredReservation = InferSchemaType<typeof reservationSchema> & { _id: Types.ObjectId };
export const Reservations = accessor('Reservation', (connection) =>
  connection.model('Reservation', reservationSchema),
);
