import type { Batch, Part } from './batch.js';
import { folded, met, spent } from './spending.js';
import { turning } from './turning.js';

/** One statement of an `update` command; the same query and update serve `findAndModify`. */
export interface Statement {
  readonly q: object;
  readonly u: object | object[];
  readonly upsert?: boolean;
}

export const total = (parts: readonly Part[]): number => parts.reduce((sum, { amount }) => sum + amount, 0);

/** True for what the fast statement can say: nothing is tidied or given back, and the amounts add up without loss. */
export const isPlain = ({ isFirst, parts }: Batch): boolean =>
  !isFirst && parts.every(({ amount }) => amount > 0) && Number.isSafeInteger(total(parts));

/**
 * Counts the whole batch, or leaves the counter as it is: only while all of it fits, in the current period, by the same
 * entitlements, without balances or anything beyond the limit, in time, and once. What is missing comes before any number, and before null.
 *
 * All that is asked stands in the update, for a query by the key alone needs no plan: MongoDB counts in two thirds of the time.
 */
export function fastStatement(batch: Batch): Statement {
  const { key, terms, parts, slot, sequence, deadline } = batch;
  const units = total(parts);
  const fits = {
    $and: [
      { $eq: ['$lv', terms.version] },
      { $lt: ['$balances', null] },
      { $lt: ['$o', null] },
      ...(terms.limit === null ? [] : [{ $lte: ['$u', terms.limit - units] }]),
      { $lt: [`$p.${slot}.n`, sequence] },
      { $lte: ['$from', '$$NOW'] },
      { $gt: ['$to', '$$NOW'] },
      { $lte: ['$$NOW', deadline] },
    ],
  };
  const mine = { [slot]: { n: sequence, s: 'all', t: '$$NOW' } };
  const counted = { u: { $add: ['$u', units] }, p: { $mergeObjects: ['$p', mine] } };
  return {
    q: { _id: key },
    u: [{ $replaceWith: { $cond: [fits, { $mergeObjects: ['$$ROOT', counted] }, '$$ROOT'] } }],
  };
}

/**
 * Counts those amounts of a batch that fit, in their order. Starts the counter, or its next period; takes the newer
 * entitlements; forgets balances that are over; and says in its slot what it met.
 *
 * Sent `again` it writes the slot also where nothing was granted, so that an earlier attempt which is still under way finds it and
 * counts nothing. `inside` a transaction, which takes effect once by itself, it writes the slot in any case: that locks the counter.
 */
export function foldStatement(batch: Batch, sent: 'first' | 'again' | 'inside'): Statement {
  const { key, slot, sequence, deadline } = batch;
  const mine = `p.${slot}`;
  const isOut = { $or: [{ $gte: [`$${mine}.n`, sequence] }, { $gt: ['$$NOW', deadline] }] };
  const skip = sent === 'inside' ? false : isOut;
  const given = batch.parts.some(({ amount }) => amount < 0);
  const noted = given || sent !== 'first' ? { $not: '$w.skip' } : { $ne: ['$w.used', '$w.then'] };
  const note = { n: sequence, s: 'some', b: '$w.used', m: '$w.capacity', t: '$$NOW' };
  return {
    q: { _id: key },
    upsert: true,
    u: [
      ...turning(batch.terms),
      { $set: { w: { ...met(batch), skip } } },
      { $set: { 'w.then': { $cond: ['$w.skip', '$w.used', folded(batch)] } } },
      { $set: { w: { $mergeObjects: ['$w', { spent: spent(batch.terms) }] } } },
      {
        $set: {
          u: '$w.spent.u',
          o: { $cond: ['$w.spent.o', '$w.spent.o', '$$REMOVE'] },
          balances: { $cond: [{ $eq: ['$w.spent.balances', []] }, '$$REMOVE', '$w.spent.balances'] },
          p: { $cond: [noted, { $mergeObjects: ['$p', { [slot]: note }] }, '$p'] },
        },
      },
      { $unset: 'w' },
    ],
  };
}

/** What an answer needs of a counter: not every other process's slot. */
export function projection(slots: Iterable<string>): object {
  const own = Object.fromEntries([...slots].map((slot) => [`p.${slot}`, 1]));
  return { u: 1, lim: 1, lv: 1, from: 1, to: 1, o: 1, balances: 1, now: '$$NOW', ...own };
}
