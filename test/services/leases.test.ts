import { expect } from 'chai';
import type { Connection } from 'mongoose';
import {
  assignPlan,
  consumeQuota,
  refundQuota,
  resetUsage,
  shutDown,
  syncPlans,
  Usage,
} from '../../lib/index.js';
import { countersLeased } from '../../lib/quota/leases.js';
import { changeFeed } from '../../lib/runtime/change-feed.js';
import { watchCommands } from '../support/commands.js';
import { connect, countBy, emptyWorld, inspector, times, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const counters = () => Usage(inspector());
const used = async () => (await counters().findOne({ '_id.f': 'images' }).lean())?.u;

async function leasing(limit: number) {
  const { shared, connection } = await emptyWorld();
  const plan = (tier: number, limit: number) => ({
    name: 'A plan',
    tier,
    default: tier === 0,
    features: { images: { limit, per: 'day' } as const },
  });
  await syncPlans({ ...shared, plans: { free: plan(0, limit), pro: plan(1, 2 * limit) } });
  const consume = (from: Connection = connection, amount = 1) =>
    consumeQuota({ connection: from, subject, feature: 'images', amount, lease: 50 });
  const attempt = (from?: Connection) =>
    consume(from).then(
      () => ({ outcome: 'done' }),
      ({ code }) => ({ outcome: String(code) }),
    );
  return { shared, connection, consume, attempt };
}

describe('a lease', () => {
  it('serves many requests by few writes, and says what is left as if each had asked', async () => {
    const { consume } = await leasing(1_000);
    const watched = await connect(undefined, { monitorCommands: true });
    const names = watchCommands(watched);
    await until(async () => {
      names.length = 0;
      await consume(watched);
      return names.length === 0;
    });
    const before = (await consume(watched)).used;
    names.length = 0;
    const states = [];
    for (const _ of times(200, () => 1)) states.push(await consume(watched));
    expect(names.length).to.be.at.most(8);
    expect(states.map((state) => state.used)).to.deep.equal(times(200, (index) => before + index + 1));
    expect(states.map((state) => state.remaining)).to.deep.equal(times(200, (index) => 999 - before - index));
  });

  it('never lets two processes have more than the limit, and none of it is lost when they end well', async () => {
    const { connection, attempt } = await leasing(100);
    const there = await connect();
    const outcomes = await Promise.all(times(400, (index) => attempt(index % 2 ? there : connection)));
    const { done = 0 } = countBy(outcomes, 'outcome');
    expect(done).to.be.at.most(100);
    await Promise.all([shutDown({ connection }), shutDown({ connection: there })]);
    expect(await used()).to.equal(done);
    const rest = await Promise.all(times(20, () => attempt(connection)));
    expect(done + (countBy(rest, 'outcome').done ?? 0)).to.be.at.most(100);
  });

  it('is used up to the last unit by the process that is alone', async () => {
    const { attempt } = await leasing(120);
    const outcomes = await Promise.all(times(200, () => attempt()));
    expect(countBy(outcomes, 'outcome')).to.deep.equal({ done: 120, quota_exceeded: 80 });
    expect(await used()).to.equal(120);
  });

  it('stays used when its process dies', async () => {
    const { consume } = await leasing(100);
    const doomed = await connect();
    await until(() => changeFeed(doomed).isLive()); // else it gives back what it has taken before it hears of changes
    await consume(doomed);
    await doomed.destroy(true);
    expect(await used()).to.equal(51);
  });

  it('goes back by itself when nobody comes', async () => {
    const { consume } = await leasing(100);
    await consume();
    await until(async () => (await used()) === 1);
  });

  it('is not spent when the plan has changed, nor when the period is over', async () => {
    const { shared, connection, consume } = await leasing(10_000);
    await consume();
    await assignPlan({ ...shared, subject, plan: 'pro' });
    expect((await consume()).limit).to.equal(20_000);
    await shutDown({ connection });
    expect(await used()).to.equal(2);

    const over = new Date(Date.now() + 300);
    await counters().updateOne({}, { to: over });
    const last = await consume();
    expect(last.resetsAt).to.deep.equal(over);
    await until(async () => Number((await consume()).resetsAt) > Number(over));
  });

  it('is not spent when the usage was reset, nor soon by another process', async () => {
    const { shared, attempt, consume } = await leasing(100);
    await consume();
    await resetUsage({ ...shared, subject });
    const outcomes = await Promise.all(times(150, () => attempt()));
    expect(countBy(outcomes, 'outcome')).to.deep.equal({ done: 100, quota_exceeded: 50 });

    const other = { connection: await connect(), subject: { type: 'user', id: 'ada' } as const };
    const elsewhere = () => consumeQuota({ ...other, feature: 'images', lease: 99 });
    const { startedAt } = await elsewhere();
    await resetUsage({ ...shared, subject: other.subject });
    const since = performance.now();
    await until(async () => (await elsewhere()).startedAt > startedAt);
    expect(performance.now() - since).to.be.below(2_500); // by itself it ends after five seconds
  });

  it('tells from the first how long the period lasts', async () => {
    const { consume } = await leasing(100);
    expect((await consume()).secondsLeft).to.be.within(1, 86_400);
  });

  it('takes back what is refunded', async () => {
    const { connection, consume } = await leasing(100);
    const state = await consume(connection, 3);
    await refundQuota({ connection, subject, state });
    await shutDown({ connection });
    expect(await used()).to.equal(0);
  });

  it('leaves nothing in memory of a counter of which there is no block to be had', async () => {
    const { connection } = await leasing(10);
    const subjects = times(20, (index) => ({ type: 'user', id: `user ${index}` }) as const);
    const consume = (amount: number) =>
      Promise.all(
        subjects.map((subject) =>
          consumeQuota({ connection, subject, feature: 'images', amount, lease: 50 }).then(
            () => 'done',
            ({ code }) => code,
          ),
        ),
      );
    expect(new Set(await consume(1))).to.deep.equal(new Set(['done']));
    expect(new Set(await consume(10))).to.deep.equal(new Set(['quota_exceeded']));
    expect(countersLeased(connection)).to.equal(0);
  });

  it('is refused where its size is no positive integer', async () => {
    const { connection } = await leasing(100);
    for (const lease of [0, -1, 1.5, Number.NaN])
      for (const more of [{}, { idempotencyKey: 'a' }]) {
        const error = await consumeQuota({ connection, subject, feature: 'images', lease, ...more }).catch(
          (thrown) => thrown,
        );
        expect(error, String(lease)).to.be.instanceOf(TypeError);
        expect(error.message).to.match(/^lease must be a positive integer/);
      }
    expect(await used()).to.equal(undefined);
  });
});
