import { type ClientSession, type InferSchemaType, Schema, type Types } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** A seat that an open invitation holds. */
const placeSchema = new Schema(
  {
    id: { type: Schema.Types.ObjectId, required: true },
    expiresAt: { type: Date, required: true },
  },
  { _id: false },
);

export interface Place {
  /** Of the invitation. */
  readonly id: Types.ObjectId;
  readonly expiresAt: Date;
}

/** Open invitations of one organization: its document must stay small. */
const mostOpen = 1_000;

/** The places of open invitations by the database's clock, but for that of one invitation. */
const othersOpen = (id: Types.ObjectId | null) => ({
  $filter: {
    input: { $ifNull: ['$open', []] }, // an organization of an older application has none
    cond: { $and: [{ $gt: ['$$this.expiresAt', '$$NOW'] }, { $ne: ['$$this.id', id] }] },
  },
});

/** True while `taken` is less than the seats, or there is no limit to these. */
const fits = (taken: unknown) => ({
  $or: [{ $eq: [{ $ifNull: ['$seats', null] }, null] }, { $lt: [taken, '$seats'] }],
});

const inPipeline = (session: ClientSession) => ({ session, updatePipeline: true }) as const;

/**
 * An organization with the counters by which races are settled: what concerns several documents is decided by one conditional write of
 * this one, in the transaction of the rest. Counting the others there would not do, for a snapshot does not see who counts beside it.
 */
export const organizationSchema = new Schema(
  {
    name: { type: String, required: true },
    slug: { type: String, required: true },
    owners: { type: Number, required: true }, // memberships with the role owner that are not suspended
    members: { type: Number, required: true }, // memberships
    seats: { type: Number, default: null }, // members and open invitations that there may be; null: any number
    open: { type: [placeSchema], default: [] },
    defaultTeam: { type: Schema.Types.ObjectId, ref: 'Team', default: null },
    touches: { type: Number, default: undefined }, // grows with every act, so that two at the same time conflict
    createdAt: Date,
    updatedAt: Date,
  },
  {
    collection: 'organizations',
    strict: 'throw',
    statics: {
      /** Holds a seat for an invitation, in place of any that it holds: nothing when all are taken. */
      holdPlace(_id: Types.ObjectId, place: Place, session: ClientSession) {
        const others = othersOpen(place.id);
        const room = { $and: [fits({ $add: ['$members', { $size: others }] }), { $lt: [{ $size: others }, mostOpen] }] }; // biome-ignore format: one rule
        const open = { $concatArrays: [others, [{ $literal: place }]] };
        return this.updateOne({ _id, $expr: room }, [{ $set: { open } }], inPipeline(session));
      },

      /** Gives up the seats that invitations hold, here or in several organizations. */
      freePlaces(
        organizations: readonly Types.ObjectId[],
        ids: readonly Types.ObjectId[],
        session: ClientSession,
      ) {
        const $pull = { open: { id: { $in: [...ids] } } };
        return this.updateMany({ _id: { $in: [...organizations] } }, { $pull }, { session });
      },

      /** Turns the place of an invitation into a member's: nothing when there are as many members as seats. */
      seat(_id: Types.ObjectId, id: Types.ObjectId, session: ClientSession) {
        const taken = { open: othersOpen(id), members: { $add: ['$members', 1] } };
        return this.updateOne({ _id, $expr: fits('$members') }, [{ $set: taken }], inPipeline(session));
      },

      /** Takes a seat for a member whom nobody had to invite, or the one that an invitation held for them: nothing when all are taken. */
      seatUninvited(_id: Types.ObjectId, id: Types.ObjectId | null, session: ClientSession) {
        const others = othersOpen(id);
        const room = { $expr: fits({ $add: ['$members', { $size: others }] }) };
        const taken = { open: others, members: { $add: ['$members', 1] } };
        return this.updateOne({ _id, ...room }, [{ $set: taken }], inPipeline(session));
      },

      /** Counts a member out. */
      unseat(_id: Types.ObjectId, session: ClientSession) {
        return this.updateOne({ _id, members: { $gte: 1 } }, { $inc: { members: -1 } }, { session });
      },

      /** Counts an owner in. */
      gainOwner(_id: Types.ObjectId, session: ClientSession) {
        return this.updateOne({ _id }, { $inc: { owners: 1 } }, { session });
      },

      /** Counts an owner out, unless it is the last: then nothing. With `alone` also the last one where nobody else is a member. */
      loseOwner(_id: Types.ObjectId, session: ClientSession, { alone = false } = {}) {
        const others = { owners: { $gte: 2 } };
        const may = alone ? { $or: [others, { owners: 1, members: 1 }] } : others;
        return this.updateOne({ _id, ...may }, { $inc: { owners: -1 } }, { session });
      },

      /** Notes that an owner goes who is not counted, for they are suspended: nothing when no other is counted. */
      loseSuspended(_id: Types.ObjectId, session: ClientSession) {
        return this.updateOne(
          { _id, owners: { $gte: 1 } },
          { $inc: { touches: 1 } },
          { session, timestamps: false },
        );
      },

      /** Makes a transaction conflict with every other that does so; nothing when there is no such organization. */
      touch(_id: Types.ObjectId, session: ClientSession) {
        return this.updateOne({ _id }, { $inc: { touches: 1 } }, { session, timestamps: false });
      },
    },
  },
);

organizationSchema.set('timestamps', true);
organizationSchema.index({ slug: 1 }, { unique: true });
tollgateSchema(organizationSchema);

export type StoredOrganization = InferSchemaType<typeof organizationSchema>;
export const Organizations = accessor('Organization', (connection) =>
  connection.model('Organization', organizationSchema),
);
