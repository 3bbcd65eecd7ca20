import { expect } from 'chai';
import {
  AuditEntries,
  activePlan,
  assignPlan,
  cancelPlan,
  cleanUp,
  consumeQuota,
  entitlementsOf,
  isTollgateError,
  refundQuota,
  resetUsage,
  type SharedOptions,
  Subscriptions,
  syncPlans,
  Usage,
  updatePlanLimits,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { atEnd, connect, countBy, emptyWorld, inspector, until } from '../support/world.js';

const subject = { type: 'user', id: 'ada' } as const;
const free = {
  name: 'Free',
  tier: 0,
  default: true,
  features: { images: { limit: 10, per: 'month' }, projects: 3, reports: true },
} as const;
const pro = {
  name: 'Pro',
  tier: 1,
  features: {
    images: { limit: 100, per: 'month' },
    tokens: { limit: 'unlimited', per: 'day' },
    videos: { credits: 2 },
  },
} as const;

/** A database with two plans, and what is known there of Ada. */
async function withPlans() {
  const { shared } = await emptyWorld();
  await syncPlans({ ...shared, plans: { free, pro } });
  return { shared, ...about(shared) };
}

const about = (shared: SharedOptions) => ({
  now: () => entitlementsOf({ ...shared, subject }),
  consume: (amount = 1) => consumeQuota({ ...shared, subject, feature: 'images', amount }),
  limitStored: async () => {
    const counter = await Usage(inspector()).findOne({ '_id.s': 'user:ada', '_id.f': 'images' }).lean();
    return counter?.lim;
  },
});

const stored = () => Subscriptions(inspector()).findOne({ 'subject.id': 'ada' }).lean();
const acts = async () =>
  (await AuditEntries(inspector()).find({ 'target.id': 'ada' }).sort({ _id: 1 }).lean()).map(
    ({ action, actor, details }) => ({ action, actor, details }),
  );
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error) => (isTollgateError(error) ? error.code : error.name),
  );

describe('the plan of a subject', () => {
  it('is the one assigned, and the default one again when that is cancelled', async () => {
    const { shared, now } = await withPlans();
    const shown = { code: 'free', version: 1, default: true, prices: {}, currency: null, trialDays: null };
    expect((await activePlan({ ...shared, subject })).plan).to.deep.include(shown);
    const before = await now();
    await assignPlan({ ...shared, subject, plan: 'pro', actor: 'root' });
    const { plan, limits, expiresAt } = await activePlan({ ...shared, subject });
    expect(plan).to.deep.include({ code: 'pro', tier: 1, version: 1, active: true });
    expect(plan?.features).to.deep.equal({ ...pro.features, tokens: { limit: null, per: 'day' } });
    expect(limits).to.deep.equal({ images: 100, tokens: null, videos: null });
    expect(expiresAt).to.equal(null);
    const assigned = await now();
    expect(assigned.version).to.be.above(before.version);
    expect(assigned.anchor).to.deep.equal((await stored())?.createdAt);

    await cancelPlan({ ...shared, subject });
    await cancelPlan({ ...shared, subject }); // nothing is left to cancel
    const cancelled = await now();
    expect(cancelled).to.deep.include({ tier: 0, entitlements: ['images', 'projects', 'reports'] });
    expect(cancelled.version).to.be.above(assigned.version);
    expect(await acts()).to.deep.equal([
      { action: 'plan.assigned', actor: 'root', details: { plan: 'pro', version: 1 } },
      { action: 'plan.cancelled', actor: null, details: { plan: 'pro' } },
    ]);
    expect(await codeOf(assignPlan({ ...shared, subject, plan: 'gold' }))).to.equal('not_found');
    const misspelt = { ...shared, subject, plan: 'pro', expires: new Date() };
    expect(await codeOf(assignPlan(misspelt))).to.equal('TypeError');
  });

  it('stays in the version bought until it is assigned again, while the default plan is followed', async () => {
    const { shared, now } = await withPlans();
    const bought = { ...shared, subject: { type: 'user', id: 'bob' } } as const;
    await assignPlan({ ...bought, plan: 'pro' });
    const less = { images: { limit: 5, per: 'month' } } as const;
    await syncPlans({
      ...shared,
      plans: { free: { ...free, features: less }, pro: { ...pro, features: less } },
    });

    expect((await now()).limits).to.deep.equal({ images: 5 });
    expect((await activePlan(bought)).limits).to.include({ images: 100 });
    await assignPlan({ ...bought, plan: 'pro' });
    expect((await activePlan(bought)).limits).to.deep.equal({ images: 5 });
    expect((await activePlan(bought)).plan).to.include({ version: 2 });
  });

  it('ends by the database’s clock without any job, and is not remembered past its end', async () => {
    const { now, shared } = await withPlans();
    const watched = await connect(undefined, { monitorCommands: true });
    const { now: nowThere } = about({ connection: watched });
    const expiresAt = new Date(Date.now() + 700);
    await assignPlan({ ...shared, subject, plan: 'pro', expiresAt });
    const during = await now();
    expect(during).to.deep.include({ tier: 1, expiresAt });
    const sent = watchCommands(watched);
    await until(async () => {
      sent.length = 0;
      await nowThere();
      return sent.length === 0; // remembered
    });
    expect(await nowThere()).to.deep.include({ tier: 1 });

    await until(async () => (await nowThere()).tier === 0);
    expect(Date.now()).to.be.at.least(expiresAt.getTime());
    for (const over of [await nowThere(), await now()]) {
      expect(over).to.deep.include({ tier: 0, expiresAt: null });
      expect(over.version).to.be.above(during.version);
    }
    expect(await stored(), 'nobody has written').to.deep.include({ plan: 'pro', expiresAt });
    const ended = await now();

    expect((await cleanUp(shared)).plans).to.equal(1);
    expect((await cleanUp(shared)).plans).to.equal(0);
    expect(await stored()).to.deep.include({ plan: null, planVersion: null, expiresAt: null });
    expect((await now()).version).to.be.above(ended.version);
    expect((await acts()).at(-1)).to.deep.include({ action: 'plan.expired', details: { plan: 'pro' } });
  });

  it('is one of those that can be had, unless the subject has it already', async () => {
    const { shared } = await withPlans();
    await assignPlan({ ...shared, subject, plan: 'pro' });
    await inspector()
      .collection('plans')
      .updateOne({ code: 'pro' }, { $set: { active: false } });
    await assignPlan({ ...shared, subject, plan: 'pro' });
    const other = { type: 'user', id: 'bob' } as const;
    expect(await codeOf(assignPlan({ ...shared, subject: other, plan: 'pro' }))).to.equal('conflict');
  });
});

describe('limits of a subject', () => {
  it('are overridden by name, whatever the plan, until the plan says again', async () => {
    const { shared, now } = await withPlans();
    const set = (limits: Parameters<typeof updatePlanLimits>[0]['limits']) =>
      updatePlanLimits({ ...shared, subject, limits });
    await set({ images: 50, projects: null });
    expect((await now()).limits).to.deep.equal({ images: 50, projects: null, reports: null });
    await assignPlan({ ...shared, subject, plan: 'pro' });
    expect((await now()).limits).to.deep.equal({ images: 50, tokens: null, videos: null });
    expect((await now()).overrides).to.deep.equal({ images: 50, projects: null });
    await set({ images: 0 });
    expect((await now()).entitlements).to.deep.equal(['tokens', 'videos']);
    await set({ images: 'plan', projects: 'plan' });
    expect((await now()).limits).to.include({ images: 100 });
    expect((await now()).overrides).to.deep.equal({});
    expect((await acts()).at(-1)).to.deep.include({
      action: 'plan.limits-changed',
      details: { limits: { images: 'plan', projects: 'plan' } },
    });
  });

  it('are those of a number or an allowance that the plan has', async () => {
    const { shared } = await withPlans();
    const set = (limits: object) =>
      updatePlanLimits({ ...shared, subject, limits } as Parameters<typeof updatePlanLimits>[0]);
    const refused = await set({ images: 1, reports: 1, imagse: 1 }).catch((error) => error);
    expect(refused).to.include({ code: 'validation_failed', status: 400 });
    expect(refused.extras.errors.map(({ path }: { path: string }) => path)).to.deep.equal([
      'limits.reports',
      'limits.imagse',
    ]);
    for (const wrong of [
      {},
      { images: -1 },
      { images: 1.5 },
      { images: '5' },
      { images: 2 ** 53 },
      { 'a.b': 1 },
    ])
      expect(await codeOf(set(wrong)), JSON.stringify(wrong)).to.equal('TypeError');
    expect(await stored()).to.equal(null);
  });

  it('are all kept when many are changed at once, and each change has a version of its own', async () => {
    const { shared, now } = await withPlans();
    const features = { a: 1, b: 1, c: 1 };
    await syncPlans({ ...shared, plans: { free: { ...free, features } } });
    const before = (await now()).version;
    const set = (limits: Record<string, number>) => updatePlanLimits({ ...shared, subject, limits });
    await Promise.all([set({ a: 10 }), set({ b: 11 }), set({ c: 12 })]);
    const { limits, version } = await now();
    expect(limits).to.deep.equal({ a: 10, b: 11, c: 12 });
    expect(version - before).to.equal(3 * 2_000_000);
  });

  it('are in what is counted already when a change is done, so that nobody can take more by an old one', async () => {
    const { shared, consume, limitStored } = await withPlans();
    await assignPlan({ ...shared, subject, plan: 'pro' });
    await consume(40);
    expect(await limitStored()).to.equal(100);
    await updatePlanLimits({ ...shared, subject, limits: { images: 60 } });
    expect(await limitStored()).to.equal(60);
    await updatePlanLimits({ ...shared, subject, limits: { images: null } });
    expect(await limitStored()).to.equal(null);
    await updatePlanLimits({ ...shared, subject, limits: { images: 'plan' } });
    expect(await limitStored()).to.equal(100);
    await cancelPlan({ ...shared, subject });
    expect(await limitStored()).to.equal(10);
  });

  it('hold for a process that has not heard of them', async () => {
    const { shared, consume } = await withPlans();
    await assignPlan({ ...shared, subject, plan: 'pro' });
    const late = await connect(undefined, { appName: 'late', monitorCommands: true });
    const elsewhere = about({ connection: late });
    await consume(20);
    await until(async () => {
      const answer = await elsewhere.now();
      return (await elsewhere.now()) === answer; // remembered
    });
    const admin = inspector().getClient().db('admin');
    const slow = { failCommands: ['getMore'], appName: 'late', blockConnection: true, blockTimeMS: 2_000 };
    await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: slow });
    atEnd(() => admin.command({ configureFailPoint: 'failCommand', mode: 'off' }));
    let listens = false;
    late.getClient().on('commandStarted', ({ commandName }) => {
      listens ||= commandName === 'getMore';
    });
    await until(() => listens); // and hears of nothing for two seconds

    await cancelPlan({ ...shared, subject });
    expect((await elsewhere.now()).tier, 'not heard of yet').to.equal(1);
    expect(await codeOf(elsewhere.consume())).to.equal('quota_exceeded');
  });
});

describe('the usage of a subject', () => {
  it('is reset by feature, or all of it', async () => {
    const { shared, consume } = await withPlans();
    const features = { ...free.features, tokens: { limit: 9, per: 'day' } } as const;
    await syncPlans({ ...shared, plans: { free: { ...free, features } } });
    const tokens = () => consumeQuota({ ...shared, subject, feature: 'tokens', amount: 4 });
    const state = await consume(10);
    await tokens();
    expect(await codeOf(consume())).to.equal('quota_exceeded');

    await resetUsage({ ...shared, subject, feature: 'images', actor: 'root' });
    await refundQuota({ ...shared, subject, state }); // of a time that is over
    expect(await consume(3)).to.include({ used: 3, remaining: 7 });
    expect(await tokens()).to.include({ used: 8 });
    await resetUsage({ ...shared, subject });
    expect(await consume()).to.include({ used: 1 });
    expect(await tokens()).to.include({ used: 4 });
    const [entry] = await acts();
    expect(entry).to.deep.equal({
      action: 'plan.usage-reset',
      actor: 'root',
      details: { feature: 'images' },
    });
    expect(await codeOf(resetUsage({ ...shared, subject, feature: 'a.b' }))).to.equal('TypeError');
  });
});

describe('the usage of a period that is over', () => {
  it('is not reset any more: it is told of, and what it left is carried over', async () => {
    const { shared, consume } = await withPlans();
    const images = { limit: 100, per: 'month', rollover: { cap: 90 } } as const;
    await syncPlans({ ...shared, plans: { free: { ...free, features: { images } } } });
    const { startedAt: to } = await consume(95);
    const last = { from: new Date(to.getTime() - 86_400_000), to };
    await Usage(inspector()).updateOne({}, last); // as if a month had gone by
    await resetUsage({ ...shared, subject });
    expect(await consume()).to.include({ used: 1, remaining: 104 });
    const { past } = (await Usage(inspector()).findOne().lean()) ?? expect.fail();
    expect(past).to.deep.equal([{ ...last, u: 95 }]);
  });
});

describe('what authorize says', () => {
  it('decides before anything is written, and is asked once', async () => {
    const { shared } = await withPlans();
    const operations = (authority: object) => [
      assignPlan({ ...shared, subject, plan: 'pro', ...authority }),
      cancelPlan({ ...shared, subject, ...authority }),
      updatePlanLimits({ ...shared, subject, limits: { images: 1 }, ...authority }),
      resetUsage({ ...shared, subject, ...authority }),
    ];
    const refusing = [
      () => false,
      async () => false,
      () => 'yes' as unknown as boolean,
      () => {
        throw new Error('secret');
      },
      async () => Promise.reject(new Error('secret')),
    ];
    for (const authorize of refusing) {
      for (const operation of operations({ authorize })) {
        const error = await operation.catch((error) => error);
        expect(error).to.include({ code: 'permission_missing', status: 403 });
        expect(error.message).not.to.include('secret');
      }
    }
    expect(await stored()).to.equal(null);
    expect(await acts()).to.deep.equal([]);

    const asked: object[] = [];
    const context = { by: 'root' };
    const authorize = async (given: object) => asked.push(given) > 0;
    const codes = await Promise.all(operations({ authorize, context }).map(codeOf));
    expect(
      countBy(
        codes.map((code) => ({ code })),
        'code',
      ),
    ).to.deep.equal({ done: 4 }); // also when one has to run again
    expect(asked).to.have.length(4);
    expect(asked.every((given) => given === context)).to.equal(true);
  });
});
