import { type InferSchemaType, Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** What may be spent under one key: `points` in `seconds`; with `slows`, one at a time and ever slower after that. */
export interface Allowance {
  readonly key: string;
  readonly points: number;
  readonly seconds: number;
  readonly slows?: boolean | undefined;
  /** Whose account it protects, as a digest: a success clears all that stands under it. */
  readonly account?: string | undefined;
}

/** Seconds after which what a process held when it died is free again. */
const heldFor = 60;
const shortestDelay = 1;
const longestDelay = 900;

/** Wrong guesses that were made, and guesses that are being judged, in the current span of time. */
export const budgetSchema = new Schema(
  {
    _id: { type: String, required: true },
    account: { type: String, default: null },
    spent: { type: Number, default: 0 },
    held: { type: Number, default: 0 },
    heldUntil: { type: Date, default: null },
    resetsAt: { type: Date, required: true },
    told: { type: Boolean, default: false }, // whether the audit log knows that it is exhausted
    notBefore: { type: Date, default: null }, // past the budget: the next guess may come then
    admitted: { type: Boolean, default: false }, // whether the last one who asked may go on
    at: { type: Date, required: true }, // the database's time at the last change
  },
  {
    collection: 'tollgate_budgets',
    strict: 'throw',
    statics: {
      /** Holds one of the allowance's points while a guess is judged; `admitted` tells whether there was one. */
      hold({ key, points, seconds, slows = false, account }: Allowance) {
        const epoch = new Date(0);
        const over = { $lte: [{ $ifNull: ['$resetsAt', epoch] }, '$$NOW'] };
        const forgotten = { $lte: [{ $ifNull: ['$heldUntil', epoch] }, '$$NOW'] };
        const current = {
          ...(account !== undefined && { account: { $literal: account } }),
          spent: { $cond: [over, 0, '$spent'] },
          held: { $cond: [forgotten, 0, '$held'] },
          notBefore: { $cond: [over, null, '$notBefore'] },
          told: { $cond: [over, false, { $ifNull: ['$told', false] }] },
          resetsAt: { $cond: [over, { $add: ['$$NOW', seconds * 1000] }, '$resetsAt'] },
          at: '$$NOW',
        };
        const free = { $lt: [{ $add: ['$spent', '$held'] }, points] };
        const due = {
          $and: [{ $eq: ['$held', 0] }, { $lte: [{ $ifNull: ['$notBefore', epoch] }, '$$NOW'] }],
        };
        const admitted = { admitted: slows ? { $or: [free, due] } : free };
        const held = {
          held: { $add: ['$held', { $cond: ['$admitted', 1, 0] }] },
          heldUntil: { $cond: ['$admitted', { $add: ['$$NOW', heldFor * 1000] }, '$heldUntil'] },
        };
        return this.findOneAndUpdate({ _id: key }, [{ $set: current }, { $set: admitted }, { $set: held }], {
          upsert: true,
          updatePipeline: true,
          returnDocument: 'after',
        }).lean();
      },

      /** Gives back what was held under `keys`. */
      release(keys: readonly string[]) {
        const held = { $max: [0, { $subtract: ['$held', 1] }] };
        return this.updateMany({ _id: { $in: [...keys] } }, [{ $set: { held } }], { updatePipeline: true });
      },

      /** Turns what was held into a point spent; past the budget each makes the next wait twice as long. */
      spend({ key, points, seconds, slows = false }: Allowance) {
        const over = { $lte: ['$resetsAt', '$$NOW'] };
        const counted = {
          spent: { $add: [{ $cond: [over, 0, '$spent'] }, 1] },
          held: { $max: [0, { $subtract: ['$held', 1] }] },
          resetsAt: { $cond: [over, { $add: ['$$NOW', seconds * 1000] }, '$resetsAt'] },
        };
        const beyond = { $min: [{ $subtract: ['$spent', points] }, 10] }; // 2^10 s is longer than the longest delay
        const delay = { $min: [{ $multiply: [shortestDelay, { $pow: [2, beyond] }] }, longestDelay] };
        const later = { $add: ['$$NOW', { $multiply: [delay, 1000] }] };
        const slowed = { notBefore: slows ? { $cond: [{ $gte: ['$spent', points] }, later, null] } : null };
        return this.updateOne({ _id: key }, [{ $set: counted }, { $set: slowed }], { updatePipeline: true });
      },

      /** Notes that somebody was told of the exhausted budget: of several who do it at once, one modifies it. */
      tell(key: string) {
        return this.updateOne({ _id: key, told: { $ne: true } }, { $set: { told: true } });
      },

      /** Forgets the wrong guesses at an account, which has several names while keys change, from wherever they came. */
      clear(accounts: readonly string[]) {
        const theirs = { account: { $in: [...accounts] } };
        return this.updateMany(theirs, { $set: { spent: 0, notBefore: null, told: false } });
      },
    },
  },
);

budgetSchema.index({ account: 1 });
budgetSchema.index({ resetsAt: 1 }, { expireAfterSeconds: 86_400 });
tollgateSchema(budgetSchema);

export type StoredBudget = InferSchemaType<typeof budgetSchema>;
export const Budgets = accessor('Budget', (connection) => connection.model('Budget', budgetSchema));
