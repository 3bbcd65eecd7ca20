import { expect } from 'chai';
import fc from 'fast-check';
import type { Connection } from 'mongoose';
import type { Terms } from '../../lib/quota/batch.js';
import { take } from '../../lib/quota/combiner.js';
import { foldStatement } from '../../lib/quota/statements.js';
import { connect, emptyWorld } from '../support/world.js';
import { batchOf, counterOf, counters, tamper } from './engine.js';
import { type Balance, Model } from './model.js';

const day = 86_400_000;
const feature = 'units';
const fastCheck = { numRuns: 60, interruptAfterTimeLimit: 30_000 };

type Step =
  | { readonly kind: 'take'; readonly amounts: readonly number[] }
  | { readonly kind: 'give back'; readonly amount: number }
  | { readonly kind: 'grant'; readonly units: number; readonly days: number }
  | { readonly kind: 'expire' }
  | { readonly kind: 'turn'; readonly skipped: boolean }
  | { readonly kind: 'plan'; readonly limit: number | null; readonly overage: Terms['overage'] };

const units = fc.integer({ min: 1, max: 12 });
const overages = fc.constantFrom(undefined, 0, 5, null);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('take'),
      amounts: fc.array(units, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('give back'), amount: units }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('grant'), units, days: fc.integer({ min: -40, max: 400 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('turn'), skipped: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('plan'),
      limit: fc.option(fc.integer({ min: 0, max: 30 }), { freq: 8 }),
      overage: overages,
    }),
  },
) as fc.Arbitrary<Step>;

const rules = fc.record({
  limit: fc.option(fc.integer({ min: 0, max: 30 }), { freq: 8 }),
  overage: overages,
  rollover: fc.option(
    fc.record({ cap: fc.integer({ min: 1, max: 20 }), periods: fc.integer({ min: 1, max: 3 }) }),
    {
      nil: undefined,
    },
  ),
});

let runs = 0;

/** Of a counter that nobody has used. */
function freshKey() {
  runs += 1;
  return { s: `user:${runs}`, f: feature };
}

const inOrder = (balances: readonly Balance[]) =>
  [...balances].sort((one, other) => one.e.getTime() - other.e.getTime());

/** A counter and its model, which the same things happen to. */
class Pair {
  readonly key = freshKey();
  readonly model: Model;
  #terms: Terms;
  #grants = 0;

  constructor(
    readonly connection: Connection,
    terms: Pick<Terms, 'limit' | 'overage' | 'rollover'>,
  ) {
    this.#terms = { ...terms, per: 'month', version: 1 };
    this.model = new Model();
  }

  async do(each: Step): Promise<void> {
    switch (each.kind) {
      case 'take':
        return this.#take(each.amounts.map((amount) => ({ amount })));
      case 'give back':
        return this.#take([{ amount: -each.amount, from: this.model.from ?? new Date(0) }]);
      case 'plan':
        return this.#renew({ limit: each.limit, overage: each.overage });
      default:
        if (this.model.from) await this.#tamper(each); // there is a counter by now
    }
  }

  async #take(parts: readonly { amount: number; from?: Date }[]): Promise<void> {
    const expected = this.model.take(parts, this.#terms, new Date());
    const taken = await Promise.all(
      parts.map((part) => take(this.connection, { key: this.key, terms: this.#terms, ...part })),
    );
    const granted = taken.filter((_, index) => (parts[index]?.amount ?? 0) > 0).map((each) => each.granted);
    expect(granted, JSON.stringify(parts)).to.deep.equal(expected);
    const { u, o = 0, from, to, balances = [], past = [] } = await counterOf(this.connection, this.key);
    expect({ u, o, from, to, balances: inOrder(balances), past: past.map((each) => each.u) }).to.deep.equal(
      this.model.state,
    );
  }

  async #tamper(each: Step): Promise<void> {
    const { model } = this;
    if (each.kind === 'grant') {
      this.#grants += 1;
      // A millisecond of its own for each, so that there is an order among them.
      const e = new Date(Date.now() + each.days * day + this.#grants * 1_000);
      model.balances.push({ i: `grant ${this.#grants}`, l: each.units, s: 0, e });
    }
    if (each.kind === 'expire')
      for (const balance of model.balances.slice(0, 1)) balance.e = new Date(Date.now() - day);
    if (each.kind === 'turn') model.shift(each.skipped, new Date());
    const { balances, from, to } = model;
    await tamper(this.connection, { $set: { balances, from, to } }, this.key);
    this.#renew({});
  }

  /** As every change of what a subject may use does. */
  #renew(change: Partial<Terms>): void {
    this.#terms = { ...this.#terms, ...change, version: this.#terms.version + 1 };
  }
}

describe('balances', () => {
  it('are spent soonest to expire first, returned the other way, carried over and forgotten, as a plain model says', async function () {
    this.timeout(90_000);
    await emptyWorld();
    const connection = await connect();
    await fc.assert(
      fc.asyncProperty(rules, fc.array(step, { minLength: 3, maxLength: 25 }), async (terms, steps) => {
        const pair = new Pair(connection, terms);
        for (const each of steps) await pair.do(each);
      }),
      fastCheck,
    );
  });

  it('never let more be granted in a period than there was, whatever is taken and given back', async function () {
    this.timeout(90_000);
    await emptyWorld();
    const connection = await connect();
    const parts = fc.array(
      fc.array(fc.integer({ min: -8, max: 12 }).filter(Boolean), { minLength: 1, maxLength: 6 }),
      {
        maxLength: 12,
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(units, { maxLength: 4 }),
        fc.nat(20),
        parts,
        async (grants, limit, batches) => {
          const key = freshKey();
          const terms = { limit, per: 'lifetime', version: 1, overage: 3 } as const;
          const { from } = await take(connection, { key, terms, amount: 1_000 });
          const balances: Balance[] = grants.map((l, index) => ({
            i: String(index),
            l,
            s: 0,
            e: new Date(Date.now() + (index + 1) * day),
          }));
          if (balances.length > 0) await tamper(connection, { $set: { balances } }, key);
          let granted = 0;
          for (const batch of batches) {
            const taken = await Promise.all(
              batch.map((amount) => take(connection, { key, terms: { ...terms, version: 2 }, amount, from })),
            );
            batch.forEach((amount, index) => {
              if (amount > 0 && taken[index]?.granted) granted += amount;
              if (amount < 0) granted = Math.max(0, granted + amount);
            });
            const all = limit + 3 + grants.reduce((sum, each) => sum + each, 0);
            const { u, o = 0, balances: now = [] } = await counterOf(connection, key);
            expect(granted).to.be.at.most(all);
            expect(u + o + now.reduce((sum, { s }) => sum + s, 0)).to.equal(granted);
            for (const value of [u, o, ...now.flatMap(({ l, s }) => [l, s])]) expect(value).to.be.at.least(0);
          }
        },
      ),
      { ...fastCheck, numRuns: 40 },
    );
  });
});

describe('what comes back while more is used than a smaller limit allows', () => {
  it('is not there to be taken, by the same batch neither', async () => {
    const { connection } = await emptyWorld();
    const key = freshKey();
    const terms = { limit: 12, per: 'month', version: 1 } as const;
    const smaller = { ...terms, limit: 10, version: 2 };
    const { from } = await take(connection, { key, terms, amount: 12 });
    const together = await Promise.all([
      take(connection, { key, terms: smaller, amount: -1, from }),
      take(connection, { key, terms: smaller, amount: 1 }),
    ]);
    expect(together.map(({ granted, used }) => [granted, used])).to.deep.equal([
      [true, 11],
      [false, 11],
    ]);
    expect(await counterOf(connection, key)).to.include({ u: 11, lim: 10 });
  });
});

describe('months that begin on an anchor', () => {
  it('end on its day, or on the last of a shorter month, in leap years too', async function () {
    this.timeout(90_000);
    const { connection } = await emptyWorld();
    const [first, last] = [new Date('2023-01-01'), new Date('2029-01-01')];
    const anchors = fc
      .tuple(
        fc.constantFrom('2019-12-', '2020-01-', '2023-03-', '2024-01-', '2025-08-'),
        fc.constantFrom(28, 29, 30, 31),
        fc.nat(day - 1),
      )
      .map(([month, date, time]) => new Date(Date.parse(`${month}${date}T00:00:00Z`) + time));
    const nows = fc.oneof(
      fc.date({ min: first, max: last, noInvalidDate: true }),
      fc
        .constantFrom('2024-02-28', '2024-02-29', '2024-03-01', '2023-02-28', '2028-02-29')
        .map((text) => new Date(`${text}T12:00:00Z`)),
    );
    await fc.assert(
      fc.asyncProperty(anchors, nows, async (anchor, now) => {
        const key = freshKey();
        const terms = { limit: 10, per: 'billing', version: 1, anchor } as const;
        const batch = batchOf(1, [1], { key, terms, deadline: new Date('2100-01-01') });
        const { q, u } = foldStatement(batch, 'first');
        await counters(connection).updateOne(q, atTime(u, now) as never, { upsert: true });
        const { from, to } = await counterOf(connection, key);
        expect([from, to]).to.deep.equal(monthOf(anchor, now));
      }),
      { ...fastCheck, numRuns: 250 },
    );
  });
});

/** A pipeline as it is at another time. */
function atTime(pipeline: unknown, now: Date): unknown {
  if (pipeline === '$$NOW') return now;
  if (Array.isArray(pipeline)) return pipeline.map((each) => atTime(each, now));
  if (typeof pipeline !== 'object' || pipeline === null || pipeline instanceof Date) return pipeline;
  return Object.fromEntries(Object.entries(pipeline).map(([name, value]) => [name, atTime(value, now)]));
}

/** By counting on from the anchor. */
function monthOf(anchor: Date, now: Date): [Date, Date] {
  const at = (months: number) => {
    const month = anchor.getUTCMonth() + months;
    const days = new Date(Date.UTC(anchor.getUTCFullYear(), month + 1, 0)).getUTCDate();
    const begun = new Date(Date.UTC(anchor.getUTCFullYear(), month, Math.min(anchor.getUTCDate(), days)));
    return new Date(begun.getTime() + (anchor.getTime() % day));
  };
  let months = -120;
  while (at(months + 1) <= now) months += 1;
  return [at(months), at(months + 1)];
}
