import type { scenarios } from './scenarios.js';

/** A rule of the engine: taken away, by putting `without` in the place of `text`, it lets the scenario fail. */
export interface Rule<Scenario extends string = keyof typeof scenarios> {
  readonly rule: string;
  /** In lib/quota. */
  readonly file: string;
  /** Occurs once. */
  readonly text: string;
  readonly without: string;
  readonly shows: Scenario;
}

export type Change = Pick<Rule, 'file' | 'text' | 'without'>;

/** Taken from both, so that nobody waits for what is not tried. */
export const haste: readonly Change[] = [
  {
    file: 'database-clock',
    text: 'effective = 10_000',
    without: 'effective = 1_000',
  },
];

export const rules: readonly Rule[] = [
  {
    rule: 'the slot fences the fast statement',
    file: 'statements',
    text: '.n`, sequence] },\n      {',
    without: '.n`, Number.MAX_SAFE_INTEGER] },\n      {',
    shows: 'a batch that arrives twice counts once',
  },
  {
    rule: 'the slot fences the fold',
    file: 'statements',
    text: ", sequence] }, { $gt: ['$$NOW', deadline] }",
    without: ", Number.MAX_SAFE_INTEGER] }, { $gt: ['$$NOW', deadline] }",
    shows: 'a batch that is sent again counts once',
  },
  {
    rule: 'the entitlements of the fast statement are the ones in force',
    file: 'statements',
    text: "{ $eq: ['$lv', terms.version] },",
    without: '',
    shows: 'a process with stale entitlements does not pass the new limit',
  },
  {
    rule: 'the fast statement counts in the current period',
    file: 'statements',
    text: "{ $gt: ['$to', '$$NOW'] },",
    without: '',
    shows: 'what is counted after the end of a period belongs to the next',
  },
  {
    rule: 'the fast statement counts in a period that has begun',
    file: 'statements',
    text: "{ $lte: ['$from', '$$NOW'] },",
    without: '',
    shows: 'nothing is counted in a period that has not begun',
  },
  {
    rule: 'the fast statement has a deadline',
    file: 'statements',
    text: "{ $lte: ['$$NOW', deadline] },",
    without: '',
    shows: 'a batch has no effect after its deadline',
  },
  {
    rule: 'the fold has a deadline',
    file: 'statements',
    text: ", { $gt: ['$$NOW', deadline] }",
    without: '',
    shows: 'a batch has no effect after its deadline',
  },
  {
    rule: 'without balances only',
    file: 'statements',
    text: "{ $lt: ['$balances', null] },",
    without: '',
    shows: 'a balance that expires first is spent first',
  },
  {
    rule: 'an attempt is repeated under its own number',
    file: 'combiner',
    text: 'this.#sender.again(shipment)',
    without: 'this.#sender.again({ ...shipment, sequence: shipment.sequence + 1 })',
    shows: 'a consumption whose answer was lost is counted once',
  },
  {
    rule: 'a repeated batch says in its slot that it was there',
    file: 'statements',
    text: "given || sent !== 'first'",
    without: "given || sent === 'inside'",
    shows: 'a batch that was refused when it was repeated is not counted later',
  },
  {
    rule: 'the newest entitlements decide',
    file: 'turning',
    text: "{ $lt: [{ $ifNull: ['$lv', -1] }, version] }",
    without: "{ $ne: ['$lv', version] }",
    shows: 'an older entitlement never replaces a newer one',
  },
  {
    rule: 'the newest entitlements of a batch decide',
    file: 'batch',
    text: 'each.version > best.version ? each : best',
    without: 'best',
    shows: 'of entitlements that meet in a batch the newest decides',
  },
  {
    rule: 'a missing limit is none that allows everything',
    file: 'spending',
    text: "$cond: [{ $eq: ['$lim', null] }, null, {",
    without: "$cond: [{ $lte: ['$lim', null] }, null, {",
    shows: 'a counter without a limit is not unlimited',
  },
  {
    rule: 'a refund is bound to its period',
    file: 'spending',
    text: "{ $cond: [back, { $max: [0, then] }, '$$value'] }",
    without: '{ $max: [0, then] }',
    shows: 'units go back to the period that they were taken from, or nowhere',
  },
  {
    rule: 'a grant is bound to its period',
    file: 'turning',
    text: '$cond: [isOver, dated(slots), slots]',
    without: '$cond: [isOver, slots, slots]',
    shows: 'what is asked for again after the end of its period belongs to that period',
  },
  {
    rule: 'a grant is bound to what a reset ends',
    file: 'counters',
    text: 'balances, p }',
    without: 'balances }',
    shows: 'what is asked for again after a reset belongs to what was reset',
  },
  {
    rule: 'the period of an earlier batch of the slot is forgotten',
    file: 'statements',
    text: "{ [slot]: { n: sequence, s: 'all', t: '$$NOW' } }",
    without: "{ [slot]: { $mergeObjects: ['$p.' + slot, { n: sequence, s: 'all', t: '$$NOW' }] } }",
    shows: 'what a slot did in an earlier period is not believed of the next',
  },
  {
    rule: 'what is unknown is never given back',
    file: 'combiner',
    text: "this.#refuse(part, 'database_unavailable'); // what",
    without:
      "{ this.#refuse(part, 'database_unavailable'); this.#giveBack(part, new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000)); } // what",
    shows: 'what is not known to be counted is not given back',
  },
  {
    rule: 'a counter is found by its key alone',
    file: 'statements',
    text: 'q: { _id: key },\n    upsert',
    without: 'q: { _id: key, to: { $gt: new Date() } },\n    upsert',
    shows: 'a counter whose period is over is found, and not made anew',
  },
  {
    rule: 'slots outlive every deadline',
    file: 'turning',
    text: 'const slotLife = 10 * 60_000',
    without: 'const slotLife = 1',
    shows: 'what a process did is remembered until nothing of it can arrive any more',
  },
  {
    rule: 'a refusal from memory is for larger amounts',
    file: 'combiner',
    text: 'amount <= denial.room',
    without: 'amount <= 0',
    shows: 'a refusal is no reason to refuse smaller amounts',
  },
  {
    rule: 'a refund drops the memory of refusals',
    file: 'combiner',
    text: 'if (request.amount < 0) line.denial = undefined;',
    without: '',
    shows: 'a refusal is forgotten when units are given back',
  },
  {
    rule: 'other entitlements drop the memory of refusals',
    file: 'combiner',
    text: ' || terms.version !== denial.version',
    without: '',
    shows: 'a refusal is forgotten when the limit changes',
  },
  {
    rule: 'refusals are remembered',
    file: 'combiner',
    text: 'return performance.now() < denial.until',
    without: 'return performance.now() < 0',
    shows: 'a refusal is remembered for a while',
  },
  {
    rule: 'a batch with a refund says so in its slot',
    file: 'statements',
    text: 'some(({ amount }) => amount < 0)',
    without: 'some(() => false)',
    shows: 'a batch that takes as much as it gives back is answered',
  },
  {
    rule: 'a slot speaks for its own number',
    file: 'sender',
    text: 'own?.n === sequence',
    without: 'own !== undefined',
    shows: 'nobody takes what an earlier batch was granted for their own',
  },
  {
    rule: 'a command that failed in part is no answer',
    file: 'sender',
    text: 'reply.writeErrors || reply.writeConcernError',
    without: 'reply.writeConcernError',
    shows: 'of a command that failed in part nobody is told anything',
  },
  {
    rule: 'what does not fit at once is folded',
    file: 'sender',
    text: 'if (rest.length > 0)',
    without: 'if (rest.length < 0)',
    shows: 'several counters in one command count each batch once',
  },
  {
    rule: 'only the newest entitlements allow more than the limit',
    file: 'spending',
    text: "{ $cond: [{ $gt: ['$lv', version] }, 0, overage] }",
    without: 'overage',
    shows: 'older entitlements allow nothing beyond the limit of newer ones',
  },
  {
    rule: 'unlimited gives back to where it was taken from',
    file: 'spending',
    text: "{ $gte: [{ $add: ['$u', more] }, 0] }",
    without: 'true',
    shows: 'what a balance gave goes back to it, also once there is no limit',
  },
  {
    rule: 'what expires first comes first',
    file: 'spending',
    text: 'sortBy: { e: 1 }',
    without: 'sortBy: { e: -1 }',
    shows: 'a balance that expires first is spent first',
  },
  {
    rule: 'what was spent last comes back first',
    file: 'spending',
    text: '{ $reverseArray: pools }',
    without: 'pools',
    shows: 'what a balance gave goes back to it, also once there is no limit',
  },
  {
    rule: 'what has expired is not there',
    file: 'turning',
    text: "const isLive = { $gt: ['$$b.e', '$$NOW'] };",
    without: 'const isLive = { $literal: true };',
    shows: 'a balance that has expired is not spent',
  },
  {
    rule: 'what is used beyond the limit has a limit, too',
    file: 'spending',
    text: '$cond: [{ $eq: [most, null] }, null, {',
    without: '$cond: [true, null, {',
    shows: 'no more is used beyond the limit than the plan allows',
  },
  {
    rule: 'what is carried over has a limit',
    file: 'turning',
    text: '$min: [cap, {',
    without: '$min: [{',
    shows: 'no more is carried over than the plan allows',
  },
  {
    rule: 'only what is left is carried over',
    file: 'turning',
    text: "{ $eq: ['$to', from] }",
    without: 'false',
    shows: 'no more is carried over than was left',
  },
  {
    rule: 'a period is carried over into the next one',
    file: 'turning',
    text: '{ $not: isMissing }, isBefore, {',
    without: '{ $not: isMissing }, {',
    shows: 'a period that ends within the next one leaves nothing over',
  },
  {
    rule: 'a period that is over is not reset',
    file: 'counters',
    text: "    $expr: { $gt: ['$to', '$$NOW'] },\n",
    without: '',
    shows: 'a reset leaves a period as it was that is over',
  },
  {
    rule: 'a plan that counts by another period ends one for life',
    file: 'turning',
    text: '[...byTime, byPlan]',
    without: 'byTime',
    shows: 'a period for life ends with the plan',
  },
  {
    rule: 'an older plan ends no period for life',
    file: 'turning',
    text: "{ $and: [isForLife, { $lte: ['$lv', version] }] }",
    without: 'isForLife',
    shows: 'a period for life is not ended by an older plan',
  },
  {
    rule: 'a change of plan begins counters that nobody has used',
    file: 'counters',
    text: 'retuned(each) }], upsert: true }',
    without: 'retuned(each) }] }',
    shows: 'nobody begins a counter by the limit of an older plan',
  },
  {
    rule: 'a change of plan locks the counters first',
    file: 'counters',
    text: '{ $inc: { c: 1 } }, { session }',
    without: '{ $inc: { c: 1 } }, {}',
    shows: 'a change of plan is not held up by those who count',
  },
  {
    rule: 'a process asks for the time before it sends anything',
    file: 'combiner',
    text: 'if (this.#clock.isMute && !(await this.#listen())) return; // it comes back here',
    without: '',
    shows: 'the first key of a process is claimed for its time',
  },
  {
    rule: 'periods are counted as the newest entitlements do',
    file: 'turning',
    text: "$cond: [isStale, { $ifNull: ['$t', mine] }, mine]",
    without: '$cond: [isStale, mine, mine]',
    shows: 'an older plan begins no period of its own',
  },
  {
    rule: 'a change of plan tells how periods are counted',
    file: 'turning',
    text: "t: { $cond: [isTheirs, tellingOf(terms), '$t'] },",
    without: '',
    shows: 'an older plan begins no period of its own',
  },
];
