import { endOfTime as never } from '../models/usage.js';
import type { Terms } from './batch.js';

/** How long a slot is kept: well past every deadline, so that no late duplicate finds it gone. */
const slotLife = 10 * 60_000;
/** Totals of so many periods are kept. */
const history = 24;

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

/** A counter whose period is over in the current one, of which nothing is used. */
export const renewed = (terms: Terms): object[] => [
  ...turning(terms),
  { $set: { o: '$$REMOVE', balances: { $cond: [{ $eq: ['$balances', []] }, '$$REMOVE', '$balances'] } } },
  { $unset: 'w' },
];

/** The counter in the current period and under the newest entitlements; `$set` reads what was there before. */
function turned(terms: Terms): object {
  const ended = { $cond: [isMissing, null, { $min: ['$to', '$$NOW'] }] };
  const from = { $max: ['$w.from', ended] }; // no two periods begin at the same moment: units go back by it
  const to = '$w.to';
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

/** What was spent of balances in this period. */
export const spentOf = (balances: string) => ({
  $sum: { $map: { input: orNone(balances), as: 'b', in: '$$b.s' } },
});

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
  const used = { $add: ['$u', { $ifNull: ['$o', 0] }] };
  const unused = { $cond: [{ $eq: ['$to', from] }, { $subtract: ['$lim', used] }, '$lim'] };
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
