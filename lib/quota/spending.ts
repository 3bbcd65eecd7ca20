import { endOfTime as never } from '../models/usage.js';
import type { Batch, Terms } from './batch.js';
import { spentOf } from './turning.js';

/** What may be used beyond the limit: whoever has older entitlements than the counter does not know. */
const overageOf = ({ overage = 0, version }: Terms): unknown =>
  overage === 0 ? 0 : { $cond: [{ $gt: ['$lv', version] }, 0, overage] };

/**
 * `used`: of everything; `capacity`: with all that is live; null: no limit. Where more is used than the limit allows, because that has
 * shrunk, what the batch gives back brings it down again, and is not there to be taken.
 */
export function met({ terms, parts }: Batch): object {
  const returns = parts.filter(({ amount }) => amount < 0);
  const back = {
    $sum: returns.map(({ amount, from = null }) => ({ $cond: [{ $eq: ['$from', from] }, -amount, 0] })),
  };
  const of = { $sum: { $map: { input: '$balances', as: 'b', in: { $add: ['$$b.l', '$$b.s'] } } } };
  const beyond = overageOf(terms);
  const most = { $max: [{ $add: ['$lim', beyond] }, { $subtract: [{ $add: ['$u', '$o'] }, back] }] };
  const isUnlimited = { $or: [{ $eq: ['$lim', null] }, { $eq: [beyond, null] }] };
  return {
    used: { $add: ['$u', '$o', spentOf('$balances')] },
    capacity: { $cond: [isUnlimited, null, { $add: [most, of] }] },
  };
}

/** What is used after those amounts that fit; one that gives back counts only in the period that it was taken from. */
export function folded({ parts }: Batch): object {
  const [limited, from] = [{ $ne: ['$w.capacity', null] }, '$from'];
  const step = (amount: string, back: object | null) => {
    const then = { $add: ['$$value', amount] };
    const fitting = { $cond: [{ $and: [limited, { $gt: [then, '$w.capacity'] }] }, '$$value', then] };
    if (!back) return fitting;
    const given = { $cond: [back, { $max: [0, then] }, '$$value'] };
    return { $cond: [{ $lt: [amount, 0] }, given, fitting] };
  };
  const initialValue = '$w.used';
  if (parts.every(({ amount }) => amount > 0)) {
    return { $reduce: { input: parts.map(({ amount }) => amount), initialValue, in: step('$$this', null) } };
  }
  const input = parts.map((part) => ({ amount: part.amount, from: part.from ?? null }));
  return {
    $reduce: { input, initialValue, in: step('$$this.amount', { $eq: ['$$this.from', from] }) },
  };
}

/**
 * Spends what was granted from what expires soonest, the allowance itself expiring with the period and what is beyond it coming
 * last; gives back the other way round. What was used beyond a limit, and is more than may be by now, is missing in the allowance.
 */
export function spent(terms: Terms): object {
  const { overage = 0 } = terms;
  const more = { $subtract: ['$w.then', '$w.used'] };
  const withinLimit = [
    { $eq: ['$balances', []] },
    { $eq: ['$o', 0] },
    ...(overage === 0 ? [] : [{ $lte: ['$w.then', '$lim'] }]),
  ];
  const unlimited = { $and: [{ $eq: ['$lim', null] }, { $gte: [{ $add: ['$u', more] }, 0] }] };
  const isSimple = { $or: [unlimited, { $and: withinLimit }] };
  const simple = { u: { $add: ['$u', more] }, o: '$o', balances: '$balances' };
  return { $cond: [isSimple, simple, spread(terms, more)] };
}

function spread(terms: Terms, more: object): object {
  const beyond = { $ifNull: [overageOf(terms), Number.MAX_SAFE_INTEGER] };
  const tooMuch = { $max: [0, { $subtract: ['$o', beyond] }] };
  const left = { $max: [0, { $subtract: ['$lim', { $add: ['$u', tooMuch] }] }] };
  const allowance = { i: '', l: left, s: '$u', e: '$to' };
  const last = { i: '+', l: more, s: '$o', e: never };
  const pools = {
    $concatArrays: [
      { $sortArray: { input: { $concatArrays: [[allowance], '$balances'] }, sortBy: { e: 1 } } },
      [last],
    ],
  };
  const step = (by: object) => ({
    rest: { $subtract: ['$$value.rest', by] },
    out: {
      $concatArrays: [
        '$$value.out',
        [
          {
            $mergeObjects: ['$$this', { l: { $subtract: ['$$this.l', by] }, s: { $add: ['$$this.s', by] } }],
          },
        ],
      ],
    },
  });
  const initialValue = { rest: more, out: [] };
  const take = step({ $min: ['$$value.rest', '$$this.l'] });
  const back = step({ $max: ['$$value.rest', { $multiply: [-1, '$$this.s'] }] });
  const after = {
    $cond: [
      { $gte: [more, 0] },
      { $reduce: { input: pools, initialValue, in: take } },
      { $reduce: { input: { $reverseArray: pools }, initialValue, in: back } },
    ],
  };
  const named = (id: string) => ({
    $first: { $filter: { input: '$$after.out', as: 'b', cond: { $eq: ['$$b.i', id] } } },
  });
  const rest = { $filter: { input: '$$after.out', as: 'b', cond: { $not: { $in: ['$$b.i', ['', '+']] } } } };
  return {
    $let: {
      vars: { after },
      in: {
        u: { $getField: { field: 's', input: named('') } },
        o: { $getField: { field: 's', input: named('+') } },
        balances: rest,
      },
    },
  };
}
