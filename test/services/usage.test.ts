import { expect } from 'chai';
import {
  checkQuota,
  consumeQuota,
  explain,
  grantCredits,
  reserveQuota,
  type Subject,
  startWorker,
  syncPlans,
  type ThresholdEvent,
  Usage,
  updatePlanLimits,
  usageOf,
} from '../../lib/index.js';
import { atEnd, connect, countBy, emptyWorld, inspector, secret, times, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;

async function metered() {
  const { shared } = await emptyWorld();
  const features = {
    images: { limit: 10, per: 'month' },
    tokens: { limit: 'unlimited', per: 'day' },
    seats: 5,
    reports: true,
    films: { credits: 4 },
    parked: 0,
  } as const;
  await syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });
  const consume = (amount: number, feature = 'images', on = shared.connection) =>
    consumeQuota({ connection: on, subject, feature, amount });
  const refused = (amount: number, feature?: string, on = shared.connection) =>
    consume(amount, feature, on).then(
      () => false,
      () => true,
    );
  return { shared, consume, refused };
}

const grant = { subject, feature: 'images', amount: 5, id: 'gift' };

describe('usageOf()', () => {
  it('says of each allowance what is used and left, before and after its first use, and of former periods', async () => {
    const { shared, consume } = await metered();
    const before = await usageOf({ ...shared, subject });
    expect(
      before.map(({ feature, limit, used, remaining }) => [feature, limit, used, remaining]),
    ).to.deep.equal([
      ['credits', 0, 0, 0],
      ['images', 10, 0, 10],
      ['tokens', null, 0, null],
    ]);
    const expiresAt = new Date(Date.now() + 86_400_000 * 400);
    await grantCredits({ ...shared, ...grant, expiresAt });
    await consume(12);
    const [images] = await usageOf({ ...shared, subject, feature: 'images' });
    expect(images).to.deep.include({ used: 12, remaining: 3, history: [] });
    expect(images?.balances).to.deep.equal([{ id: 'gift', left: 3, expiresAt }]);
    expect(images?.resetsAt?.toISOString()).to.match(/-01T00:00:00.000Z$/);

    const past = { from: new Date('2020-01-01'), to: new Date('2020-02-01') };
    await Usage(inspector()).updateOne({ '_id.f': 'images' }, past);
    const [later] = await usageOf({ ...shared, subject, feature: 'images' });
    expect(later).to.deep.include({ used: 0, remaining: 13 });
    expect(later?.history).to.deep.equal([{ startedAt: past.from, endedAt: past.to, used: 12 }]);
    expect((await Usage(inspector()).findOne({ '_id.f': 'images' }).lean())?.to).to.deep.equal(past.to);
    expect(await usageOf({ ...shared, subject, feature: 'reports' })).to.deep.equal([]);
  });
});

describe('checkQuota()', () => {
  it('says what consumeQuota() would, and counts nothing', async () => {
    const { shared, consume } = await metered();
    const check = (amount: number, feature = 'images') => checkQuota({ ...shared, subject, feature, amount });
    expect(await check(10)).to.include({ granted: true, taken: 0, used: 0, remaining: 10 });
    expect(await check(11)).to.include({ granted: false, used: 0 });
    await consume(10);
    expect(await check(1)).to.include({ granted: false, used: 10, remaining: 0 });
    expect(await check(1_000_000, 'tokens')).to.include({ granted: true, remaining: null });
    expect(await check(1, 'films')).to.include({ granted: false, feature: 'credits' });
    expect(await check(1, 'videos').catch(({ code }) => code)).to.equal('entitlement_missing');
    expect(await check(0).catch((error) => error)).to.be.instanceOf(TypeError);
    const nobody = checkQuota({ ...shared, subject: { type: 'user' } as never, feature: 'images' });
    expect(await nobody.catch((error) => error)).to.be.instanceOf(TypeError);
    expect(await Usage(inspector()).countDocuments()).to.equal(1);
  });
});

describe('explain()', () => {
  it('tells support why somebody was refused: plan, limits, balances, holds and the last refusals', async () => {
    const { shared, consume, refused } = await metered();
    await grantCredits({ ...shared, ...grant });
    await updatePlanLimits({ ...shared, subject, limits: { images: 6 } });
    await consume(4);
    const { id } = await reserveQuota({ ...shared, subject, feature: 'images', amount: 7 });
    for (const amount of times(12, (index) => index + 1)) expect(await refused(amount)).to.equal(true);

    const told = () => explain({ ...shared, subject, feature: 'images' });
    await until(async () => (await told()).denials[0]?.amount === 12);
    const { usage, holds, denials, ...facts } = await told();
    expect(facts).to.deep.equal({
      feature: 'images',
      verdict: 'used_up',
      plan: { code: 'free', version: 1, tier: 0 },
      planEndsAt: null,
      definition: { limit: 10, per: 'month' },
      override: 6,
      price: 1,
    });
    expect(usage).to.deep.include({ limit: 6, used: 11, remaining: 0, balances: [] });
    expect(holds.map((hold) => [hold.id, hold.units])).to.deep.equal([[id, 7]]);
    expect(denials.map(({ amount }) => amount)).to.deep.equal(times(10, (index) => 12 - index));
    expect(denials[0]).to.include({ used: 11, limit: 6, remaining: 0 });
  });

  it('tells of the refusals of everybody, also while one subject is refused thousands of times', async function () {
    this.timeout(30_000);
    const { shared, consume, refused } = await metered();
    const other = { type: 'organization', id: 'other' } as const;
    await consume(10);
    await refused(1);
    for (const amount of times(3_000, (index) => index + 1)) await refused(amount);
    const refusal = consumeQuota({ ...shared, subject: other, feature: 'images', amount: 11 });
    expect(await refusal.catch(({ code }) => code)).to.equal('quota_exceeded');

    const amounts = async (subject: Subject) =>
      (await explain({ ...shared, subject, feature: 'images' })).denials.map(({ amount }) => amount);
    await until(async () => (await amounts(other)).length === 1);
    await until(async () => (await amounts(subject))[0] === 3_000);
    expect(await amounts(subject)).to.deep.equal(times(10, (index) => 3_000 - index));
  });

  it('tells apart what is not in the plan, what is no allowance, and what costs credits', async () => {
    const { shared } = await metered();
    const told = async (feature: string) => {
      const { verdict, price, usage } = await explain({ ...shared, subject, feature });
      return [verdict, price, usage?.feature ?? null];
    };
    expect(await told('videos')).to.deep.equal(['not_in_plan', null, null]);
    expect(await told('parked')).to.deep.equal(['not_in_plan', null, null]);
    expect(await told('__proto__')).to.deep.equal(['not_in_plan', null, null]);
    expect(await told('reports')).to.deep.equal(['granted', null, null]);
    expect(await told('tokens')).to.deep.equal(['granted', 1, 'tokens']);
    expect(await told('films')).to.deep.equal(['used_up', 4, 'credits']);
    await grantCredits({ ...shared, subject, feature: 'credits', amount: 4 });
    expect(await told('films')).to.deep.equal(['granted', 4, 'credits']);
    const { definition } = await explain({ ...shared, subject, feature: 'tokens' });
    expect(definition).to.deep.equal({ limit: null, per: 'day' });
  });
});

describe('thresholds', () => {
  /** Two workers that tell of thresholds, into one list. */
  async function heard(shared: Awaited<ReturnType<typeof metered>>['shared']) {
    const events: ThresholdEvent[] = [];
    const listen = async () => {
      const options = { ...shared, connection: await connect(), keys: [secret], cleanupHours: 0 };
      const worker = await startWorker({ ...options, onThreshold: (event) => events.push(event) });
      atEnd(() => worker.stop());
    };
    await listen();
    await listen();
    return events;
  }

  it('of 80 and 100 per cent are told once each, though two processes reach them and two workers tell', async function () {
    this.timeout(20_000);
    const { shared, consume, refused } = await metered();
    const elsewhere = await connect();
    const events = await heard(shared);
    await consume(7);
    await consume(1);
    await until(() => events.length === 1);
    expect(events[0]).to.deep.include({ subject, feature: 'images', threshold: 80, used: 8, limit: 10 });
    await Promise.all(times(20, (index) => refused(1, 'images', index % 2 ? elsewhere : undefined)));
    await until(() => events.length === 2);
    expect(events[1]).to.deep.include({ feature: 'images', threshold: 100, used: 10 });

    await grantCredits({ ...shared, subject, feature: 'credits', amount: 40 });
    await consume(10, 'films', elsewhere);
    await until(() => events.length === 4);
    expect(countBy(events, 'feature')).to.deep.equal({ images: 2, credits: 2 });
    expect(countBy(events, 'threshold')).to.deep.equal({ 80: 2, 100: 2 });
  });

  it('are told again in the next period', async function () {
    this.timeout(20_000);
    const { shared, consume } = await metered();
    const events = await heard(shared);
    await consume(9);
    await until(() => events.length === 1);
    const past = { from: new Date('2020-01-01'), to: new Date('2020-02-01') };
    await Usage(inspector()).updateOne({ '_id.f': 'images' }, past);
    await inspector().collection('tollgate_thresholds').updateMany({}, { $set: past });
    await consume(10, 'images', await connect());
    await until(() => events.length === 3);
    expect(countBy(events, 'threshold')).to.deep.equal({ 80: 2, 100: 1 });
  });
});
