import { expect } from 'chai';
import Koa from 'koa';
import { Types } from 'mongoose';
import { activePlan, announceChange, assignPlan, cancelPlan, checkQuota, commitReservation, consumeQuota, entitlementsOf, explain, Grants, grantCredits, problems, quota, refundQuota, releaseReservation, reserveQuota, resetUsage, type Subject, Subscriptions, syncPlans, Usage, updatePlanLimits, usageOf, userSchema, withinLimit, withQuota } from '../../lib/index.js'; // biome-ignore format: a list
import { clientsOf, connect, countBy, emptyWorld, inspector, serve, times } from '../support/world.js';

const features = { images: { limit: 10, per: 'month' }, seats: 3 } as const;
const plans = {
  free: { name: 'Free', tier: 0, default: true, features },
  pro: { name: 'Pro', tier: 1, features: { ...features, images: { limit: 100, per: 'month' } } },
} as const;

async function metered() {
  const { shared } = await emptyWorld();
  await syncPlans({ ...shared, plans });
  return shared;
}

const id = 'abcdef0123456789abcdef01';

/** A subject, and the same one as a client may write it. */
const written = (type: Subject['type']): [Subject, Subject] => [
  { type, id },
  { type, id: id.toUpperCase() },
];

const counters = async (): Promise<string[]> => {
  const all = (await Usage(inspector()).find().lean()) as unknown as { _id: { s: string } }[];
  return all.map(({ _id }) => _id.s);
};

for (const type of ['organization', 'team', 'user'] as const) {
  describe(`an id of the type ${type} that is written in capitals`, () => {
    it('names the same subject to whatever counts', async () => {
      const { connection } = await metered();
      const [subject, same] = written(type);
      const either = (index: number) => (index % 2 ? subject : same);
      const take = (which: Subject, more: object = {}) =>
        consumeQuota({ connection, subject: which, feature: 'images', ...more });

      const answers = await Promise.allSettled(times(30, (index) => take(either(index))));
      expect(countBy(answers, 'status')).to.deep.equal({ fulfilled: 10, rejected: 20 });
      const state = await take(same).catch(({ code }) => code);
      expect(state).to.equal('quota_exceeded');
      await resetUsage({ connection, subject: same });

      const [once, again] = [
        await take(subject, { idempotencyKey: 'k' }),
        await take(same, { idempotencyKey: 'k' }),
      ];
      expect([once.used, again.used]).to.deep.equal([1, 1]);
      await refundQuota({ connection, subject: same, state: await take(subject) });
      await take(same, { lease: 3 });
      expect((await take(subject, { lease: 3 })).used).to.equal(3);
      const { id: held } = await reserveQuota({ connection, subject: same, feature: 'images', amount: 2 });
      await commitReservation({ connection, id: held, amount: 1 });
      const hold = await reserveQuota({ connection, subject: same, feature: 'images', amount: 2 });
      expect((await explain({ connection, subject, feature: 'images' })).holds).to.have.length(1);
      await releaseReservation({ connection, id: hold.id });
      await withQuota({ connection, subject: same, amounts: { images: 1 }, run: async () => {} });
      await grantCredits({ connection, subject: same, feature: 'images', amount: 5, id: 'gift' });
      await grantCredits({ connection, subject, feature: 'images', amount: 5, id: 'gift' }); // no conflict: it is the same
      expect(await Grants(inspector()).distinct('subject.id')).to.deep.equal([id]);

      const seen = [
        await checkQuota({ connection, subject, feature: 'images' }),
        await checkQuota({ connection, subject: same, feature: 'images' }),
        ...(await usageOf({ connection, subject, feature: 'images' })),
        ...(await usageOf({ connection, subject: same, feature: 'images' })),
      ];
      expect(new Set(seen.map(({ used }) => used)).size).to.equal(1);
      expect(new Set(await counters())).to.deep.equal(new Set([`${type}:${id}`]));
    });

    it('names the same subject to whatever knows of plans', async () => {
      const { connection } = await metered();
      const [subject, same] = written(type);
      const planOf = async (which: Subject) => (await activePlan({ connection, subject: which })).plan?.code;
      await assignPlan({ connection, subject: same, plan: 'pro' });
      expect([await planOf(subject), await planOf(same)]).to.deep.equal(['pro', 'pro']);
      await updatePlanLimits({ connection, subject: same, limits: { images: 7 } });
      expect((await entitlementsOf({ connection, subject })).limits).to.include({ images: 7 });
      expect((await entitlementsOf({ connection, subject: same, strict: true })).limits).to.include({
        images: 7,
      });
      await Subscriptions(inspector()).updateOne({}, { 'overrides.images': 8 });
      await announceChange({ connection, subjects: [same] });
      expect((await entitlementsOf({ connection, subject })).limits).to.include({ images: 8 });
      expect(await Subscriptions(inspector()).distinct('subject.id')).to.deep.equal([id]);
      await cancelPlan({ connection, subject: same });
      expect([await planOf(subject), await planOf(same)]).to.deep.equal(['free', 'free']);

      let there = 0;
      const add = (which: Subject) =>
        withinLimit({
          connection,
          subject: which,
          feature: 'seats',
          count: async () => there,
          run: async () => {
            there += 1;
          },
        });
      const answers = await Promise.allSettled(times(8, (index) => add(index % 2 ? subject : same)));
      expect(countBy(answers, 'status')).to.deep.equal({ fulfilled: 3, rejected: 5 });
    });
  });
}

describe('a guard that is told its subject by a function', () => {
  it('counts for one organization however a path writes its id', async () => {
    const { connection } = await metered();
    const app = new Koa();
    const subject = ({ path }: Koa.Context) => ({ type: 'organization', id: path.slice(1) }) as const;
    app.use(problems()).use(async (ctx, next) => {
      ctx.state.user = { id: 'ada' };
      await next();
    });
    app.use(quota('images', { connection, subject: subject as never }) as never).use((ctx) => {
      ctx.status = 204;
    });
    const anyone = clientsOf(await serve(app)).anyone();
    const answers = await Promise.all(
      times(24, (index) => anyone.get(`/${index % 2 ? id : id.toUpperCase()}`)),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 204: 10, 429: 14 });
  });
});

describe('an id of the application’s own', () => {
  it('stays as it is, also where it looks like one of ours', async () => {
    await metered();
    const connection = await connect();
    connection.model('User', userSchema.clone().add({ _id: { type: String, required: true } }));
    for (const subject of written('user')) await consumeQuota({ connection, subject, feature: 'images' });
    expect((await counters()).sort()).to.deep.equal([`user:${id.toUpperCase()}`, `user:${id}`]);
  });

  it('is counted by itself where it is no ObjectId', async () => {
    const { connection } = await metered();
    const ids = ['ACME', 'acme', 'ABCDEFGHIJKLMNOPQRSTUVWX', String(new Types.ObjectId())];
    for (const id of ids)
      await consumeQuota({ connection, subject: { type: 'organization', id }, feature: 'images' });
    expect(await counters()).to.have.members(ids.map((id) => `organization:${id}`));
  });
});
