import { expect } from 'chai';
import type { Connection } from 'mongoose';
import {
  assignPlan,
  cancelPlan,
  consumeQuota,
  entitlementsOf,
  grantCredits,
  isTollgateError,
  type PlanDefinition,
  refundQuota,
  resetUsage,
  Subscriptions,
  syncPlans,
  Usage,
  updatePlanLimits,
  usageOf,
} from '../../lib/index.js';
import { take } from '../../lib/quota/combiner.js';
import type { Taken } from '../../lib/quota/taken.js';
import { transaction } from '../../lib/runtime/transaction.js';
import { changeSubscription } from '../../lib/services/plans/change-subscription.js';
import { meteringOf } from '../../lib/services/plans/metering.js';
import { watchCommands } from '../support/commands.js';
import { atEnd, connect, emptyWorld, inspector, times, until } from '../support/world.js';

const subject = { type: 'user', id: 'ada' } as const;

type Features = PlanDefinition['features'];

/** Everybody is on `free`; what else there is can be assigned. */
async function withPlans(features: { readonly free: Features } & Readonly<Record<string, Features>>) {
  const { shared, connection } = await emptyWorld();
  const store = (features: Readonly<Record<string, Features>>) => {
    const plans = Object.entries(features).map(([code, features], tier) => {
      return [code, { name: code, tier, default: code === 'free', features }] as const;
    });
    return syncPlans({ ...shared, plans: Object.fromEntries(plans) });
  };
  await store(features);
  const consume = (feature: string, amount = 1, on: Connection = connection) =>
    consumeQuota({ connection: on, subject, feature, amount });
  const assign = (plan: string) => assignPlan({ ...shared, subject, plan });
  const usage = async (feature: string) => (await usageOf({ ...shared, subject, feature }))[0];
  return { shared, connection, store, consume, assign, usage };
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error) => (isTollgateError(error) ? error.code : String(error)),
  );

const counter = (feature: string) =>
  Usage(inspector()).findOne({ '_id.s': 'user:ada', '_id.f': feature }).lean();

/** Lets a counter's period have ended. */
const turn = (feature: string) =>
  Usage(inspector()).updateOne(
    { '_id.f': feature },
    { from: new Date('2020-01-01'), to: new Date('2020-02-01') },
  );

describe('a plan that counts in other periods', () => {
  const once = { images: { limit: 10, per: 'lifetime' } } as const;
  const monthly = { images: { limit: 100, per: 'month' } } as const;

  it('ends what was granted once for all, and grants its own in every period', async () => {
    const { consume, assign, usage } = await withPlans({ free: once, pro: monthly });
    expect(await consume('images', 4)).to.include({ remaining: 6, resetsAt: null });
    const began = (await counter('images'))?.from as Date;
    await assign('pro');
    const before = await usage('images');
    expect(before).to.deep.include({ used: 0, remaining: 100 });
    expect(before?.resetsAt, 'a month').to.be.instanceOf(Date);
    expect(await consume('images', 100)).to.include({ used: 100, remaining: 0 });
    await turn('images');
    const { history = [], ...after } = (await usage('images')) ?? expect.fail();
    expect(after).to.include({ used: 0, remaining: 100 });
    expect(history.map(({ used }) => used)).to.deep.equal([100, 4]);
    expect(history[1]?.startedAt).to.deep.equal(began);
    expect(history[1]?.endedAt).to.be.within(began, new Date(Date.now() + 1_000));
    expect(await consume('images', 100)).to.include({ used: 100, limit: 100 });
  });

  it('grants the credits of every month to whoever could only buy some before', async () => {
    const { shared, consume, assign, usage } = await withPlans({
      free: { films: { credits: 5 } },
      pro: { films: { credits: 5 }, credits: { limit: 20, per: 'month' } },
    });
    expect(await codeOf(consume('films'))).to.equal('quota_exceeded');
    await grantCredits({ ...shared, subject, feature: 'credits', amount: 7 });
    expect(await consume('films')).to.include({ used: 5, remaining: 2 });
    await assign('pro');
    expect(await consume('films', 4)).to.include({ taken: 20, remaining: 2 });
    await turn('credits');
    expect(await consume('films', 4)).to.include({ taken: 20, remaining: 2 });
    expect((await usage('credits'))?.history.map(({ used }) => used)).to.deep.equal([20, 5]);
  });

  it('ends it also where the plan of everybody changes, whose counters nobody touches', async () => {
    const { consume, store, usage } = await withPlans({ free: once });
    await consume('images', 10);
    await store({ free: monthly });
    expect(await usage('images')).to.include({ used: 0, remaining: 100 });
    expect((await counter('images'))?.lim, 'nobody has written').to.equal(10);
    expect(await consume('images', 3)).to.include({ used: 3, remaining: 97 });
    await turn('images');
    expect(await consume('images')).to.include({ used: 1, remaining: 99 });
  });

  it('begins with no more than it grants, whatever was left of what it ends', async () => {
    const carrying = { ...monthly.images, rollover: { cap: 50 } };
    const { shared, consume, assign, store } = await withPlans({ free: once, pro: { images: carrying } });
    await consume('images', 1);
    await assign('pro');
    expect(await consume('images', 1)).to.include({ used: 1, remaining: 99 });
    const bob = { ...shared, subject: { type: 'user', id: 'bob' }, feature: 'images' } as const;
    await consumeQuota(bob);
    await store({ free: { images: carrying } });
    expect(await consumeQuota(bob)).to.include({ used: 1, remaining: 99 });
  });

  it('lets a period end as it began, and what is for life go on where the new plan says so too', async () => {
    const { consume, assign } = await withPlans({
      free: monthly,
      life: once,
      longer: { images: { limit: 30, per: 'lifetime' } },
    });
    const { resetsAt } = await consume('images', 5);
    await assign('life');
    expect(await consume('images', 1)).to.deep.include({ used: 6, limit: 10, resetsAt });
    await turn('images');
    expect(await consume('images', 8)).to.include({ used: 8, remaining: 2, resetsAt: null });
    await assign('longer');
    expect(await consume('images', 1)).to.include({ used: 9, remaining: 21, resetsAt: null });
  });
});

describe('what was taken by an older plan', () => {
  it('begins no period as that counts them when it is given back', async () => {
    const { connection, assign, consume, usage } = await withPlans({
      free: { images: { limit: 10, per: 'month' } },
      pro: { images: { limit: 10, per: 'hour' } },
    });
    const state = await consume('images', 3);
    await assign('pro');
    await turn('images');
    await refundQuota({ connection, subject, state });
    const { resetsAt } = (await usage('images')) ?? expect.fail();
    expect(Number(resetsAt)).to.be.below(Date.now() + 3_700_000);
    expect(await consume('images', 10)).to.deep.include({ used: 10, resetsAt });
  });
});

describe('a process that has not heard of a change', () => {
  const unlimited = { images: { limit: 'unlimited', per: 'month' } } as const;

  /** A process that knows what Ada may use, and hears of nothing for two seconds. */
  async function deaf(): Promise<Connection> {
    const late = await connect(undefined, { appName: 'late', monitorCommands: true });
    const known = () => entitlementsOf({ connection: late, subject });
    await until(async () => {
      const answer = await known();
      return (await known()) === answer; // remembered
    });
    const admin = inspector().getClient().db('admin');
    const slow = { failCommands: ['getMore'], appName: 'late', blockConnection: true, blockTimeMS: 2_000 };
    await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: slow });
    atEnd(() => admin.command({ configureFailPoint: 'failCommand', mode: 'off' }));
    let listens = false;
    late.getClient().on('commandStarted', ({ commandName }) => {
      listens ||= commandName === 'getMore';
    });
    await until(() => listens);
    return late;
  }

  it('grants by the new limit, also what nobody has used before', async () => {
    const { shared, assign, consume } = await withPlans({
      free: { images: { limit: 10, per: 'month' } },
      pro: unlimited,
    });
    await assign('pro');
    await Usage(inspector()).deleteMany({}); // as if it had been on this plan for ever
    const late = await deaf();
    await cancelPlan({ ...shared, subject });
    expect((await entitlementsOf({ connection: late, subject })).tier, 'not heard of yet').to.equal(1);
    expect(await codeOf(consume('images', 11, late))).to.equal('quota_exceeded');
    expect(await consume('images', 10, late)).to.include({ used: 10, remaining: 0, limit: 10 });
  });

  it('begins the next period as the new plan counts them, with nothing carried over that it does not', async () => {
    const rollover = { cap: 500 };
    const { shared, assign, consume } = await withPlans({
      free: { images: { limit: 10, per: 'hour' } },
      pro: { images: { limit: 1_000, per: 'month', rollover } },
    });
    await assign('pro');
    await consume('images');
    const late = await deaf();
    await cancelPlan({ ...shared, subject });
    await turn('images');
    expect((await entitlementsOf({ connection: late, subject })).tier, 'not heard of yet').to.equal(1);
    const { startedAt, resetsAt, remaining } = await consume('images', 1, late);
    expect([Number(resetsAt) - Number(startedAt), remaining]).to.deep.equal([3_600_000, 9]);
    expect(await consume('images')).to.deep.include({ startedAt, resetsAt, remaining: 8 });
  });

  it('carries over what the old plan left in a period that is over, though nobody has come since', async () => {
    const pro = { images: { limit: 1_000, per: 'month', rollover: { cap: 500 } } } as const;
    const { assign, consume } = await withPlans({ free: { images: { limit: 10, per: 'month' } }, pro });
    for (const [used, left] of [
      [10, 0],
      [7, 3],
    ] as const) {
      await Usage(inspector()).deleteMany({});
      await assign('free');
      await consume('images', used);
      const from = { $dateTrunc: { date: '$$NOW', unit: 'month' } };
      await Usage(inspector()).collection.updateOne({}, [
        { $set: { from: new Date('2020-01-01'), to: from } },
      ]);
      await assign('pro');
      expect((await consume('images', 1)).remaining).to.equal(999 + left);
    }
  });

  it('carries over what the new plan does, though it knows of nothing of the kind', async () => {
    const { shared, assign, consume } = await withPlans({
      free: { images: { limit: 10, per: 'month', rollover: { cap: 4, periods: 2 } } },
      pro: { images: { limit: 10, per: 'hour' } },
    });
    await assign('pro');
    await consume('images');
    const late = await deaf();
    await cancelPlan({ ...shared, subject });
    await turn('images');
    expect((await entitlementsOf({ connection: late, subject })).tier, 'not heard of yet').to.equal(1);
    expect(await consume('images', 1, late)).to.include({ used: 1, remaining: 13 });
  });

  for (const [what, feature] of [
    ['a price', { credits: 5 }],
    ['a flag', true],
    ['a number', 50],
    ['nothing', undefined],
  ] as const) {
    it(`grants none of what the new plan does not count, for it is ${what} there`, async () => {
      const { assign, consume } = await withPlans({
        free: unlimited,
        other: feature === undefined ? {} : { images: feature },
      });
      await consume('images');
      const late = await deaf();
      await assign('other');
      expect((await entitlementsOf({ connection: late, subject })).tier, 'not heard of yet').to.equal(0);
      expect(await codeOf(consume('images', 1, late))).to.equal('quota_exceeded');
      expect(await counter('images')).to.include({ u: 1, lim: 0 });
    });
  }

  it('does not begin a counter by the old plan in the midst of the change', async () => {
    const { connection, consume } = await withPlans({ free: unlimited, small: { images: { limit: 3, per: 'month' } } }); // biome-ignore format: one line
    const { key, terms } = await meteringOf(connection, { subject, feature: 'images' });
    const elsewhere = await connect();
    const update = { $set: { plan: 'small', planVersion: 1 } };
    let attempts = 0;
    await transaction(connection, async (session) => {
      attempts += 1;
      await Subscriptions(connection).now('user', ['ada'], session); // from here on it sees nothing newer
      if (attempts === 1) await take(elsewhere, { key, terms, amount: 5 });
      await changeSubscription(connection, session, subject, { update });
    });
    expect(attempts).to.equal(2);
    expect(await counter('images')).to.include({ u: 5, lim: 3 });
    expect(await codeOf(consume('images'))).to.equal('quota_exceeded');
    expect((await take(elsewhere, { key, terms, amount: 1 })).granted).to.equal(false);
  });

  it('finds the counter when it wants to begin it while the change is under way', async () => {
    const { connection } = await withPlans({
      free: unlimited,
      small: { images: { limit: 3, per: 'month' } },
    });
    const { key, terms } = await meteringOf(connection, { subject, feature: 'images' });
    const update = { $set: { plan: 'small', planVersion: 1 } };
    const elsewhere = await connect(undefined, { monitorCommands: true });
    const sent = watchCommands(elsewhere);
    let taking: Promise<Taken[]> | undefined;
    await transaction(connection, async (session) => {
      await changeSubscription(connection, session, subject, { update });
      taking ??= Promise.all(times(20, () => take(elsewhere, { key, terms, amount: 1 })));
      await until(() => sent.includes('findAndModify'));
    });
    const granted = (await taking)?.filter((taken) => taken.granted);
    expect([granted?.length, (await counter('images'))?.u]).to.deep.equal([3, 3]);
  });
});

describe('a subject that is busy', () => {
  it('has its plan, its limits and its credits changed all the same, each time', async () => {
    const { shared, consume } = await withPlans({
      free: { images: { limit: 'unlimited', per: 'month' } },
      pro: { images: { limit: 'unlimited', per: 'day' } },
    });
    const processes = await Promise.all(times(4, () => connect()));
    let [isOver, granted] = [false, 0];
    const hammering = processes.flatMap((process) =>
      times(16, async () => {
        while (!isOver) {
          await consume('images', 1, process);
          granted += 1;
        }
      }),
    );
    await until(() => granted > 1_000);
    const outcomes: string[] = [];
    for (const index of times(6, (index) => index)) {
      for (const change of [
        () => assignPlan({ ...shared, subject, plan: index % 2 ? 'free' : 'pro' }),
        () => updatePlanLimits({ ...shared, subject, limits: { images: 1_000_000 + index } }),
        () => grantCredits({ ...shared, subject, feature: 'images', amount: 1 }),
        () => resetUsage({ ...shared, subject }),
      ])
        outcomes.push(await codeOf(change()));
    }
    isOver = true;
    await Promise.all(hammering);
    expect(outcomes).to.deep.equal(times(24, () => 'done'));
  });
});
