import { endOfTime } from '../models/usage.js';
import type { Batch, Part, Terms } from './batch.js';

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
 * entitlements, without balances, in time, and once. What is missing comes before any number, and before null.
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

/** How long a slot is kept: well past every deadline, so that no late duplicate finds it gone. */
const slotLife = 10 * 60_000;
/** Totals of so many periods are kept. */
const history = 24;

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

const never = endOfTime;
const isMissing = { $eq: [{ $type: '$to' }, 'missing'] };
const isForLife = { $eq: ['$to', never] };
const isNewer = (version: number) => ({ $lt: [{ $ifNull: ['$lv', -1] }, version] });

/** How periods are counted, as a counter keeps it for whoever has older entitlements. */
const tellingOf = ({ per, anchor, rollover }: Terms) => ({
  per,
  ...(per === 'billing' && anchor && { anchor }),
  ...(per !== 'lifetime' && rollover && { rollover }),
});

/** Whether the period has ended. One for life does when the counter's entitlements, or newer ones, count by another: nothing else would end it. */
function overBy({ per, version }: Terms): object {
  const byTime = [isMissing, { $lte: ['$to', '$$NOW'] }];
  const byPlan = { $and: [isForLife, { $lte: ['$lv', version] }] };
  return { $or: per === 'lifetime' ? byTime : [...byTime, byPlan] };
}

/** A counter under other entitlements, where they are newer: its period ends as it began, but one for life ends now if they count by another. */
export function retuned(terms: Terms): object {
  const { limit, per, version } = terms;
  const isTheirs = isNewer(version);
  return {
    u: { $ifNull: ['$u', 0] },
    t: { $cond: [isTheirs, tellingOf(terms), '$t'] },
    lim: { $cond: [isTheirs, limit, '$lim'] },
    lv: { $cond: [isTheirs, version, '$lv'] },
    ...(per !== 'lifetime' && { to: { $cond: [{ $and: [isTheirs, isForLife] }, '$$NOW', '$to'] } }),
  };
}

const orNone = (field: string) => ({ $ifNull: [field, []] });

/** The period that holds `$$NOW`, as the counter says how they are counted. */
function periodNow(): { from: object; to: object } {
  const unit = '$t.per';
  const start = { $dateTrunc: { date: '$$NOW', unit } };
  const end = { $dateAdd: { startDate: start, unit, amount: 1 } };
  // Months are counted from the anchor itself, so that the 31st stays the 31st where there is one.
  const anchor = { $ifNull: ['$t.anchor', new Date(0)] };
  const months = { $dateDiff: { startDate: anchor, endDate: '$$NOW', unit: 'month' } };
  const at = (k: unknown) => ({ $dateAdd: { startDate: anchor, unit: 'month', amount: k } });
  const early = { $gt: [at(months), '$$NOW'] };
  const next = (by: number) => at({ $add: [months, by] });
  const begun = { $cond: [early, next(-1), at(months)] };
  const ended = { $cond: [early, at(months), next(1)] };
  const by = (lifetime: unknown, billing: object, otherwise: object) => ({
    $cond: [
      { $eq: [unit, 'lifetime'] },
      lifetime,
      { $cond: [{ $eq: [unit, 'billing'] }, billing, otherwise] },
    ],
  });
  return { from: by('$$NOW', begun, start), to: by(never, ended, end) };
}

/** Turns a counter, if its period is over, to the current one: as the newest entitlements count, which are the counter's own for whoever has older ones. */
export function turning(terms: Terms): object[] {
  const mine = tellingOf(terms);
  const isStale = { $gt: ['$lv', terms.version] };
  return [
    { $set: { t: { $cond: [isStale, { $ifNull: ['$t', mine] }, mine] } } },
    { $set: { w: periodNow() } },
    { $set: turned(terms) },
  ];
}

/** The counter in the current period and under the newest entitlements; `$set` reads what was there before. */
function turned(terms: Terms): object {
  const [from, to] = ['$w.from', '$w.to'];
  const [isOver, isTheirs] = [overBy(terms), isNewer(terms.version)];
  const before = {
    from: '$from',
    to: { $min: ['$to', '$$NOW'] },
    u: { $add: ['$u', { $ifNull: ['$o', 0] }, spentOf('$balances')] },
  };
  const isYoung = { $gt: ['$$slot.v.t', { $subtract: ['$$NOW', slotLife] }] };
  const slots = { $filter: { input: { $objectToArray: '$p' }, as: 'slot', cond: isYoung } };
  const kept = { $arrayToObject: { $cond: [isOver, dated(slots), slots] } };
  return {
    from: { $cond: [isOver, from, '$from'] },
    to: { $cond: [isOver, to, '$to'] },
    u: { $cond: [isOver, 0, '$u'] },
    o: { $cond: [isOver, 0, { $ifNull: ['$o', 0] }] },
    lim: { $cond: [isTheirs, terms.limit, '$lim'] },
    lv: { $cond: [isTheirs, terms.version, '$lv'] },
    balances: balancesNow(isOver),
    past: {
      $cond: [
        { $and: [isOver, { $not: isMissing }] },
        { $slice: [{ $concatArrays: [orNone('$past'), [before]] }, -history] },
        { $ifNull: ['$past', '$$REMOVE'] },
      ],
    },
    p: { $cond: [{ $eq: [{ $type: '$p' }, 'object'] }, kept, {}] },
  };
}

/** Slots, as `$objectToArray` gives them, at the end of a period: each keeps the one that it counted in, for whoever asks later. */
export const dated = (slots: object): object => ({
  $map: {
    input: slots,
    as: 'slot',
    in: { k: '$$slot.k', v: { $mergeObjects: [{ f: '$from' }, '$$slot.v'] } },
  },
});

const spentOf = (balances: string) => ({ $sum: { $map: { input: orNone(balances), as: 'b', in: '$$b.s' } } });

/**
 * Balances that are not over; in a new period what was spent begins at none, and what the old one left may be carried over. What was
 * spent of one that expires within the period still stands there: it was used in this period.
 */
function balancesNow(isOver: object): object {
  const isLive = { $gt: ['$$b.e', '$$NOW'] };
  const input = orNone('$balances');
  const live = { $filter: { input, as: 'b', cond: isLive } };
  const over = { $filter: { input, as: 'b', cond: { $and: [{ $not: isLive }, { $gt: ['$$b.s', 0] }] } } };
  const emptied = { $map: { input: over, as: 'b', in: { $mergeObjects: ['$$b', { l: 0 }] } } };
  const renewed = {
    $map: {
      input: { $filter: { input: live, as: 'b', cond: { $gt: ['$$b.l', 0] } } },
      as: 'b',
      in: { $mergeObjects: ['$$b', { s: 0 }] },
    },
  };
  return { $cond: [isOver, { $concatArrays: [renewed, carried()] }, { $concatArrays: [live, emptied] }] };
}

/**
 * What the period before left unused, up to the cap; a period in which nobody came left all. One that ends within the new one, since plan
 * or anchor have changed, leaves nothing over: its limit was another.
 */
function carried(): object {
  const [from, cap] = ['$w.from', '$t.rollover.cap'];
  const unit = { $cond: [{ $eq: ['$t.per', 'billing'] }, 'month', '$t.per'] };
  const unused = { $cond: [{ $eq: ['$to', from] }, { $subtract: ['$lim', '$u'] }, '$lim'] };
  const units = { $min: [cap, { $max: [0, { $ifNull: [unused, 0] }] }] };
  const name = { $concat: ['rollover ', { $dateToString: { date: from } }] };
  const expires = { $dateAdd: { startDate: from, unit, amount: '$t.rollover.periods' } };
  const balance = { i: name, l: units, s: 0, e: expires };
  const isBefore = { $lte: ['$to', from] };
  const some = {
    $and: [{ $gt: [cap, 0] }, { $not: isMissing }, isBefore, { $ne: ['$lim', null] }, { $gt: [units, 0] }],
  };
  return { $cond: [some, [balance], []] };
}

/** What may be used beyond the limit: whoever has older entitlements than the counter does not know. */
const overageOf = ({ overage = 0, version }: Terms): unknown =>
  overage === 0 ? 0 : { $cond: [{ $gt: ['$lv', version] }, 0, overage] };

/**
 * `used`: of everything; `capacity`: with all that is live; null: no limit. Where more is used than the limit allows, because that has
 * shrunk, what the batch gives back brings it down again, and is not there to be taken.
 */
function met({ terms, parts }: Batch): object {
  const back = parts.reduce((units, { amount }) => units + Math.max(0, -amount), 0);
  const without = (field: string) => ({ $subtract: [field, back] });
  const of = { $sum: { $map: { input: '$balances', as: 'b', in: { $add: ['$$b.l', '$$b.s'] } } } };
  const most = overageOf(terms);
  const beyond = { $cond: [{ $eq: [most, null] }, null, { $max: [most, without('$o')] }] }; // $add of null is null: no limit
  return {
    used: { $add: ['$u', '$o', spentOf('$balances')] },
    capacity: {
      $cond: [{ $eq: ['$lim', null] }, null, { $add: [{ $max: ['$lim', without('$u')] }, of, beyond] }],
    },
  };
}

/** What is used after those amounts that fit; one that gives back counts only in the period that it was taken from. */
function folded({ parts }: Batch): object {
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
 * last; gives back the other way round.
 */
function spent(terms: Terms): object {
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
  const allowance = { i: '', l: { $max: [0, { $subtract: ['$lim', '$u'] }] }, s: '$u', e: '$to' };
  const last = { i: '+', l: { $max: [0, { $subtract: [beyond, '$o'] }] }, s: '$o', e: never };
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

/** What an answer needs of a counter: not every other process's slot. */
export function projection(slots: Iterable<string>): object {
  const own = Object.fromEntries([...slots].map((slot) => [`p.${slot}`, 1]));
  return { u: 1, lim: 1, lv: 1, from: 1, to: 1, o: 1, balances: 1, now: '$$NOW', ...own };
}
