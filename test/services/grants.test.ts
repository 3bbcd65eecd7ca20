import { expect } from 'chai';
import {
  AuditEntries,
  assignPlan,
  consumeQuota,
  createOrganization,
  createUser,
  deleteOrganization,
  eraseSubject,
  exportSubject,
  Grants,
  grantCredits,
  Reservations,
  refundQuota,
  reserveQuota,
  type SharedOptions,
  syncPlans,
  Usage,
  usageOf,
  withQuota,
} from '../../lib/index.js';
import { connect, countBy, emptyWorld, inspector, times, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const soon = () => new Date(Date.now() + 60_000);

/** Everybody is on a plan of 10 images a month; pro has 20 credits a month, and videos that cost 3 of them. */
async function granted(options: Partial<SharedOptions> = {}) {
  const { shared } = await emptyWorld(options);
  await syncPlans({
    ...shared,
    plans: {
      free: {
        name: 'Free',
        tier: 0,
        default: true,
        features: { images: { limit: 10, per: 'month' }, films: { credits: 2 }, reports: true },
      },
      pro: {
        name: 'Pro',
        tier: 1,
        features: { credits: { limit: 20, per: 'month' }, videos: { credits: 3 }, clips: { credits: 2 } },
      },
    },
  });
  const consume = (feature: string, amount: number, connection = shared.connection) =>
    consumeQuota({ connection, subject, feature, amount });
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'granted',
      ({ code }) => code as string,
    );
  const give = (feature: string, amount: number, more: Partial<Parameters<typeof grantCredits>[0]> = {}) =>
    grantCredits({ ...shared, subject, feature, amount, ...more });
  return { shared, consume, codeOf, give };
}

const counter = (f: string) =>
  Usage(inspector()).findOne({ '_id.s': 'organization:acme', '_id.f': f }).lean();

/** Lets the counter's period have ended. */
const turn = (f: string) =>
  Usage(inspector()).updateOne({ '_id.f': f }, { from: new Date('2020-01-01'), to: new Date('2020-02-01') });

describe('grantCredits()', () => {
  it('adds units to an allowance, which count until they are used up, also in later periods', async () => {
    const { consume, codeOf, give } = await granted();
    await give('images', 5);
    expect(await consume('images', 12)).to.include({ used: 12, remaining: 3, limit: 10 });
    await turn('images');
    expect(await consume('images', 13)).to.include({ used: 13, remaining: 0 });
    expect(await codeOf(consume('images', 1))).to.equal('quota_exceeded');
    await turn('images');
    const elsewhere = await connect(); // here the refusal is remembered for half a second
    expect(await consume('images', 1, elsewhere)).to.include({ used: 1, remaining: 9 });
  });

  it('says what is left of them also where more was used than the limit', async () => {
    const { shared } = await granted();
    const images = { limit: 10, per: 'month', overage: { cap: 5 } } as const;
    await syncPlans({
      ...shared,
      plans: { free: { name: 'Free', tier: 0, default: true, features: { images } } },
    });
    const take = (amount: number) => consumeQuota({ ...shared, subject, feature: 'images', amount });
    expect((await take(14)).remaining).to.equal(0);
    await grantCredits({ ...shared, subject, feature: 'images', amount: 5 });
    expect((await take(1)).remaining).to.equal(4);
    expect(await usageOf({ ...shared, subject, feature: 'images' })).to.have.nested.property(
      '0.remaining',
      4,
    );
    expect((await take(4)).remaining).to.equal(0);
  });

  it('refuses units that nobody could ever use: of what is priced in credits, a flag, or nothing at all', async () => {
    const { codeOf, give } = await granted();
    for (const feature of ['videos', 'vidoes'])
      expect(await codeOf(give(feature, 5)), feature).to.equal('validation_failed');
    expect(await Grants(inspector()).countDocuments()).to.equal(0);
    expect(await codeOf(give('credits', 5))).to.equal('granted');
  });

  it('grants what was granted exactly, to 200 who ask at once', async () => {
    const { consume, codeOf, give } = await granted();
    await Promise.all(times(5, () => give('images', 10)));
    const outcomes = await Promise.all(times(200, () => codeOf(consume('images', 1))));
    expect(
      countBy(
        outcomes.map((outcome) => ({ outcome })),
        'outcome',
      ),
    ).to.deep.equal({ granted: 60, quota_exceeded: 140 });
  });

  it('grants once by an id, however many repeat it at once, and refuses other content', async () => {
    const { consume, give, codeOf } = await granted();
    const expiresAt = soon();
    const grants = await Promise.all(times(20, () => give('images', 5, { id: 'payment-1', expiresAt })));
    expect(grants[7]).to.deep.equal({ id: 'payment-1', feature: 'images', amount: 5, expiresAt });
    expect(await consume('images', 1)).to.include({ remaining: 14 });
    expect(await Grants(inspector()).countDocuments()).to.equal(1);
    expect(await AuditEntries(inspector()).countDocuments({ action: 'credits.granted' })).to.equal(1);
    for (const other of [
      { amount: 6 },
      { feature: 'films' },
      { expiresAt: undefined },
      { subject: { type: 'user', id: 'acme' } as const },
    ]) {
      expect(await codeOf(give('images', 5, { id: 'payment-1', expiresAt, ...other }))).to.equal('conflict');
    }
    expect(await consume('images', 1)).to.include({ remaining: 13 });
  });

  it('spends what expires soonest first, and loses what has expired, but not what it says was used', async () => {
    const { consume, codeOf, give } = await granted();
    await give('images', 5, { id: 'brief', expiresAt: soon() });
    await give('images', 5, { id: 'lasting' });
    expect(await consume('images', 7)).to.include({ used: 7, remaining: 13 });
    expect((await counter('images'))?.u).to.equal(2);
    await expire('brief');
    expect(await consume('images', 1)).to.include({ used: 8, remaining: 12 });

    expect(await codeOf(consume('images', 13))).to.equal('quota_exceeded');
    expect(await consume('images', 12)).to.include({ used: 20, remaining: 0 });
    expect((await counter('images'))?.balances?.map(({ i, l, s }) => [i, l, s])).to.deep.equal([
      ['brief', 0, 5],
      ['lasting', 0, 5],
    ]);
  });

  it('ends a refusal that is remembered, at once here and soon in another process', async () => {
    const { consume, codeOf, give } = await granted();
    const elsewhere = await connect();
    await consume('images', 10);
    expect(await codeOf(consume('images', 1))).to.equal('quota_exceeded');
    expect(await codeOf(consume('images', 1, elsewhere))).to.equal('quota_exceeded');
    await give('images', 2);
    expect(await codeOf(consume('images', 1))).to.equal('granted');
    const [since, refused] = [performance.now(), () => codeOf(consume('images', 1, elsewhere))];
    await until(async () => (await refused()) === 'granted');
    expect(performance.now() - since).to.be.below(450); // it would be remembered for half a second
  });

  it('prices features in credits, of the plan or only granted, and gives those back', async () => {
    const { shared, consume, codeOf, give } = await granted();
    expect(await consume('films', 1).catch(({ extras }) => extras)).to.deep.include({
      feature: 'credits',
      limit: 0,
      remaining: 0,
      upgradeRequired: true,
    });
    await give('credits', 7);
    const state = await consume('films', 3);
    expect(state).to.include({ feature: 'credits', taken: 6, remaining: 1 });
    expect(await codeOf(consume('films', 1))).to.equal('quota_exceeded');
    await refundQuota({ ...shared, subject, state });
    await assignPlan({ ...shared, subject, plan: 'pro' });
    expect(await consume('videos', 9)).to.include({ taken: 27, remaining: 0 });
    const error = await consume('videos', Number.MAX_SAFE_INTEGER).catch((thrown) => thrown);
    expect(error).to.include({ code: 'validation_failed' });
    expect(error.extras.errors[0].path).to.equal('amount');
  });

  it('counts several features that are paid from the same credits together, all of them or none', async () => {
    const { shared, codeOf } = await granted();
    await assignPlan({ ...shared, subject, plan: 'pro' });
    const both = () => withQuota({ ...shared, subject, amounts: { videos: 4, clips: 3 } });
    const outcomes = await Promise.all(times(10, () => codeOf(both())));
    expect(
      countBy(
        outcomes.map((outcome) => ({ outcome })),
        'outcome',
      ),
    ).to.deep.equal({ granted: 1, quota_exceeded: 9 });
    expect((await counter('credits'))?.u).to.equal(18);
    const elsewhere = { subject, connection: await connect() };
    const { quota } = await withQuota({ ...elsewhere, amounts: { clips: 1 } });
    expect(quota.clips).to.include({ feature: 'credits', taken: 2, remaining: 0 });
  });

  it('refuses a hundred and first, though any number that are used up', async () => {
    const { consume, codeOf, give } = await granted();
    await give('images', 1);
    await consume('images', 11);
    await inspector()
      .collection('tollgate_usage')
      .updateOne({ '_id.f': 'images' }, { $push: { balances: { $each: times(100, balance) } } } as never);
    expect(await codeOf(give('images', 1))).to.equal('conflict');
    await consume('images', 60);
    expect(await codeOf(give('images', 1))).to.equal('granted');
    expect((await counter('images'))?.balances).to.have.length(42);
    expect(await consume('images', 41)).to.include({ used: 112, remaining: 0 });
  });

  it('refuses none because of what periods have left over, and spends all of it', async () => {
    const { consume, codeOf, give } = await granted();
    await give('images', 1);
    const carried = times(24, (index) => ({ ...balance(index), i: `rollover 2026-01-${10 + index}` }));
    await inspector()
      .collection('tollgate_usage')
      .updateOne({ '_id.f': 'images' }, {
        $push: { balances: { $each: [...carried, ...times(98, balance)] } },
      } as never);
    expect(await codeOf(give('images', 1))).to.equal('granted');
    expect(await codeOf(give('images', 1))).to.equal('conflict');
    expect(await consume('images', 134)).to.include({ used: 134, remaining: 0 });
  });

  it('asks the application, and says who did it', async () => {
    const { codeOf, give } = await granted();
    const authorize = ({ role }: { role: string }) => role === 'support';
    const as = (role: string) => ({ authorize, context: { role }, actor: 'ada' }) as object;
    expect(await codeOf(give('images', 1, as('guest')))).to.equal('permission_missing');
    expect(await codeOf(give('images', 1, as('support')))).to.equal('granted');
    const entries = await AuditEntries(inspector()).find({ action: 'credits.granted' }).lean();
    expect(entries).to.have.length(1);
    expect(entries[0]).to.deep.include({ actor: 'ada', target: subject });
    expect(entries[0]?.details).to.include({ feature: 'images', amount: 1 });
  });

  it('refuses what makes no sense before anything is written', async () => {
    const { give } = await granted();
    const wrong: object[] = [
      { amount: 0 },
      { amount: 1.5 },
      { amount: 2 ** 53 },
      { id: '' },
      { id: '+' },
      { id: 'a b' },
      { feature: 'A' },
      { subject: { type: 'user' } },
    ];
    for (const more of wrong) {
      const error = await give('images', 1, more).catch((thrown) => thrown);
      expect(error, JSON.stringify(more)).to.be.instanceOf(TypeError);
    }
    const past = await give('images', 1, { expiresAt: new Date(Date.now() - 1_000) }).catch((error) => error);
    expect(past).to.include({ code: 'validation_failed' });
    await give('images', Number.MAX_SAFE_INTEGER);
    expect((await give('images', 1).catch((error) => error)).code).to.equal('conflict');
    expect(await Grants(inspector()).countDocuments()).to.equal(1);
  });

  it('stand in the export of a user, and are erased with them', async () => {
    const { shared } = await granted();
    const user = await createUser({ ...shared, email: 'ada@example.com', password: 'lovelace-1815' });
    const who = { type: 'user', id: user.id } as const;
    await grantCredits({ ...shared, subject: who, feature: 'images', amount: 3, id: 'gift' });
    const { grants } = await exportSubject({ ...shared, subject: who });
    expect((grants as object[])[0]).to.deep.include({ id: 'gift', feature: 'images', amount: 3 });
    await eraseSubject({ ...shared, subject: who });
    expect(await Grants(inspector()).countDocuments()).to.equal(0);
    expect(await Usage(inspector()).countDocuments()).to.equal(0);
  });

  it('go with their organization', async () => {
    const { shared } = await granted();
    const user = await createUser({ ...shared, email: 'ada@example.com', password: 'lovelace-1815' });
    const { id } = await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: user.id });
    const acme = { type: 'organization', id } as const;
    await grantCredits({ ...shared, subject: acme, feature: 'images', amount: 3 });
    await reserveQuota({ ...shared, subject: acme, feature: 'images', amount: 3 });
    await deleteOrganization({ ...shared, organizationId: id });
    const left = [Grants, Reservations, Usage].map((model) =>
      inspector().collection(model(inspector()).collection.name).countDocuments(),
    );
    expect(await Promise.all(left)).to.deep.equal([0, 0, 0]);
  });
});

const balance = (index: number) => ({ i: `b${index}`, l: 1, s: 0, e: new Date('2100-01-01') });

/** Lets a balance have expired. */
async function expire(id: string): Promise<void> {
  await inspector()
    .collection('tollgate_usage')
    .updateOne({ 'balances.i': id }, { $set: { 'balances.$.e': new Date(0) } });
}
