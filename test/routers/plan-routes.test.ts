import { expect } from 'chai';
import { AuditEntries, activePlan, createApiKey, entitlementsOf, Plans, Users } from '../../lib/index.js';
import { clientsOf, countBy, inspector, times, world } from '../support/world.js';

const team = {
  code: 'team',
  name: 'Team',
  tier: 2,
  features: { reports: true, images: { limit: 500, per: 'month' }, tokens: { limit: null, per: 'day' } },
};
const shown = {
  ...team,
  prices: {},
  currency: null,
  trialDays: null,
  default: false,
  active: true,
  version: 1,
};
const codes = (body: { items: { code: string }[] }) => body.items.map(({ code }) => code);

describe('/billing/plans', () => {
  it('shows anyone the plans that can be had, the lowest tier first', async () => {
    const { anyone, as } = await world();
    const admin = await as('admin@example.com');
    await admin.post('/admin/plans', team).expect(201);
    await admin.post('/admin/plans', { ...team, code: 'old' }).expect(201);
    await admin.delete('/admin/plans/old').expect(204);

    const { body } = await anyone().get('/billing/plans').expect(200);
    expect(codes(body)).to.deep.equal(['free', 'pro', 'team']);
    expect(body.items[2]).to.deep.equal(shown);
    expect(body.nextCursor).to.equal(null);
    const first = (await anyone().get('/billing/plans?limit=2').expect(200)).body;
    const second = await anyone().get(`/billing/plans?limit=2&cursor=${first.nextCursor}`).expect(200);
    expect([...codes(first), ...codes(second.body)]).to.deep.equal(['free', 'pro', 'team']);
    const gone = Buffer.from('0'.repeat(24), 'hex').toString('base64url');
    await anyone().get(`/billing/plans?cursor=${gone}`).expect(400);

    expect((await anyone().get('/billing/plans/team').expect(200)).body).to.deep.equal(shown);
    for (const code of ['old', 'gold', 'constructor'])
      await anyone().get(`/billing/plans/${code}`).expect(404);
  });
});

describe('/admin/plans', () => {
  it('makes, changes and archives plans, each change under the eyes of the audit log', async () => {
    const { as, signIn, shared, globex } = await world();
    const admin = await as('admin@example.com');
    const made = await admin.post('/admin/plans', team).expect(201).expect('Location', '/admin/plans/team');
    expect(made.body).to.deep.equal(shown);
    const stored = await Plans(inspector()).findOne({ code: 'team' }).lean();
    expect(stored?.features.tokens).to.deep.equal({ limit: 'unlimited', per: 'day' });
    expect((await admin.post('/admin/plans', team).expect(409)).body.code).to.equal('conflict');

    const plan = `/admin/subjects/organization/${globex}/plan`;
    await admin.put(plan, { plan: 'team' }).expect(200);
    const features = { images: { limit: 1, per: 'day', overage: { cap: null } } };
    const changed = await admin.patch('/admin/plans/team', { features, tier: 3 }).expect(200);
    expect(changed.body).to.deep.equal({ ...shown, features, tier: 3, version: 2 });
    expect((await admin.patch('/admin/plans/team', { tier: 3 }).expect(200)).body.version).to.equal(2);
    expect((await admin.get(plan).expect(200)).body.plan).to.deep.equal(shown); // what was bought

    await admin.delete('/admin/plans/team').expect(204);
    await admin.delete('/admin/plans/team').expect(204);
    expect((await admin.get('/admin/plans/team').expect(200)).body).to.include({ active: false, version: 2 });
    expect((await admin.get(plan).expect(200)).body.plan).to.include({ code: 'team', version: 1 });
    expect(codes((await admin.get('/admin/plans').expect(200)).body)).to.deep.equal(['free', 'pro', 'team']);
    expect((await admin.patch('/admin/plans/team', { active: true }).expect(200)).body.active).to.equal(true);

    const { body } = await signIn('admin@example.com');
    const entries = await AuditEntries(inspector())
      .find({ 'target.type': 'plan', 'target.id': 'team' })
      .sort({ _id: 1 })
      .lean();
    expect(entries.map(({ action }) => action)).to.deep.equal([
      'plan.created',
      'plan.updated',
      'plan.archived',
      'plan.updated',
    ]);
    expect(entries.every(({ actor }) => actor === body.user.id)).to.equal(true);
    expect((await entitlementsOf({ ...shared, subject: { type: 'user', id: 'x' } })).tier).to.equal(0);
  });

  it('moves the mark of the default plan, and leaves nobody without one', async () => {
    const { as, shared } = await world();
    const admin = await as('admin@example.com');
    const newcomer = async () =>
      (await activePlan({ ...shared, subject: { type: 'user', id: 'x' } })).plan?.code;
    expect((await admin.delete('/admin/plans/free').expect(409)).body.code).to.equal('conflict');
    await admin.patch('/admin/plans/free', { default: false }).expect(400);
    const before = (await entitlementsOf({ ...shared, subject: { type: 'user', id: 'x' } })).version;

    await admin.patch('/admin/plans/pro', { default: true }).expect(200);
    expect(await newcomer()).to.equal('pro');
    const { version } = await entitlementsOf({ ...shared, subject: { type: 'user', id: 'x' } });
    expect(version).to.be.above(before);
    expect((await admin.get('/admin/plans/free').expect(200)).body).to.include({
      default: false,
      version: 1,
    });
    await admin.delete('/admin/plans/free').expect(204);
    await admin.post('/admin/plans', { ...team, default: true }).expect(201);
    expect(await newcomer()).to.equal('team');
    expect(await Plans(inspector()).countDocuments({ default: true })).to.equal(1);
  });

  it('takes a new plan once, however many make it at once', async () => {
    const { as } = await world();
    const admin = await as('admin@example.com');
    const answers = await Promise.all(times(4, () => admin.post('/admin/plans', team)));
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 1, 409: 3 });
  });

  it('refuses what is no plan, by its path', async () => {
    const { as } = await world();
    const admin = await as('admin@example.com');
    const wrong: [path: string, body: object][] = [
      ['code', { ...team, code: 'Team' }],
      ['name', { ...team, name: undefined }],
      ['tier', { ...team, tier: -1 }],
      ['features.images.limti', { ...team, features: { images: { limit: 1, per: 'day', limti: 2 } } }],
      ['features.images.limit', { ...team, features: { images: { per: 'day' } } }],
      ['features.images.per', { ...team, features: { images: { limit: 1, per: 'week' } } }],
      ['prices', { ...team, prices: {} }],
    ];
    for (const [path, body] of wrong) {
      const refused = (await admin.post('/admin/plans', body).expect(400)).body;
      expect(refused.code).to.equal('validation_failed');
      expect(refused.errors.map((error: { path: string }) => error.path)).to.deep.equal([path]);
    }
    await admin.patch('/admin/plans/free', { code: 'other' }).expect(400);
    await admin.patch('/admin/plans/gold', { tier: 1 }).expect(404);
    await admin.get('/admin/plans/gold').expect(404);
    await admin.delete('/admin/plans/gold').expect(404);
  });

  it('is for whoever holds admin.plans.manage', async () => {
    const { as, anyone } = await world();
    const ada = await as('ada@example.com');
    for (const ask of [
      () => ada.get('/admin/plans'),
      () => ada.post('/admin/plans', team),
      () => ada.get('/admin/plans/free'),
      () => ada.patch('/admin/plans/free', { tier: 1 }),
      () => ada.delete('/admin/plans/pro'),
    ])
      expect((await ask().expect(403)).body).to.include({ requiredPermission: 'admin.plans.manage' });
    await anyone().get('/admin/plans').expect(401);
  });
});

describe('/admin/subjects', () => {
  it('puts organizations and users on plans, changes their limits and resets their usage', async () => {
    const { as, globex } = await world();
    const [admin, bob] = [await as('admin@example.com'), await as('bob@example.com')];
    const subject = `/admin/subjects/organization/${globex}`;
    await bob.get('/api/reports').expect(403);
    const expiresAt = '2999-01-01T00:00:00.000Z';
    const { body } = await admin.put(`${subject}/plan`, { plan: 'pro', expiresAt }).expect(200);
    expect(body).to.deep.include({ subject: { type: 'organization', id: globex }, expiresAt, overrides: {} });
    expect(body.plan).to.include({ code: 'pro', version: 1 });
    expect(body.limits).to.include({ images: 100, reports: null });
    await bob.get('/api/reports').expect(200);

    const limits = await admin
      .patch(`${subject}/limits`, { limits: { images: 7, tokens: null } })
      .expect(200);
    expect(limits.body.limits).to.include({ images: 7, tokens: null });
    expect(limits.body.overrides).to.deep.equal({ images: 7, tokens: null });
    await admin.patch(`${subject}/limits`, { limits: { images: 'plan' } }).expect(200);
    await admin.post(`${subject}/usage/reset`, { feature: 'images' }).expect(204);
    await admin.post(`${subject}/usage/reset`).expect(204);

    await admin.delete(`${subject}/plan`).expect(204);
    await admin.delete(`${subject}/plan`).expect(204);
    await bob.get('/api/reports').expect(403);
    const left = (await admin.get(`${subject}/plan`).expect(200)).body;
    expect(left).to.deep.include({ expiresAt: null, overrides: { tokens: null } });
    expect(left.plan).to.include({ code: 'free' });
    const entries = await AuditEntries(inspector())
      .find({ organization: globex, action: /^plan\./ })
      .sort({ _id: 1 })
      .lean();
    expect(entries.map(({ action }) => action)).to.deep.equal([
      'plan.assigned',
      'plan.limits-changed',
      'plan.limits-changed',
      'plan.usage-reset',
      'plan.usage-reset',
      'plan.cancelled',
    ]);
  });

  it('grants by the limit of the subject, raised or lowered, and anew after a reset', async () => {
    const { as } = await world();
    const [admin, bob] = [await as('admin@example.com'), await as('bob@example.com')];
    const { _id } = (await Users(inspector()).findOne({ email: 'bob@example.com' }).lean()) ?? {};
    const subject = `/admin/subjects/user/${_id}`;
    const search = async (amount: number) => (await bob.post('/api/searches', { amount })).status;
    expect(await search(1_000)).to.equal(200);
    expect(await search(1)).to.equal(429);
    await admin.patch(`${subject}/limits`, { limits: { searches: 1_005 } }).expect(200);
    const answers = await Promise.all(times(12, () => bob.post('/api/searches', { amount: 1 })));
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 5, 429: 7 });
    await admin.patch(`${subject}/limits`, { limits: { searches: 3 } }).expect(200);
    await admin.post(`${subject}/usage/reset`, { feature: 'searches' }).expect(204);
    expect(await search(4)).to.equal(429);
    expect(await search(3)).to.equal(200);
    await admin.patch(`${subject}/limits`, { limits: { searches: null } }).expect(200);
    expect(await search(10_000)).to.equal(200);
  });

  it('knows no others, and refuses what is wrong', async () => {
    const { as, globex } = await world();
    const admin = await as('admin@example.com');
    const nobody = '0'.repeat(24);
    for (const who of [
      `organization/${nobody}`,
      `user/${nobody}`,
      'user/x',
      'organization/acme',
      `team/${nobody}`,
    ]) {
      const subject = `/admin/subjects/${who}`;
      await admin.get(`${subject}/plan`).expect(404);
      await admin.put(`${subject}/plan`, { plan: 'pro' }).expect(404);
      await admin.delete(`${subject}/plan`).expect(404);
      await admin.patch(`${subject}/limits`, { limits: { images: 1 } }).expect(404);
      await admin.post(`${subject}/usage/reset`).expect(404);
    }
    const subject = `/admin/subjects/organization/${globex}`;
    await admin.put(`${subject}/plan`, { plan: 'gold' }).expect(404);
    for (const [path, body] of [
      ['plan', { plan: { $ne: '' } }],
      ['expiresAt', { plan: 'pro', expiresAt: 'tomorrow' }],
    ] as const)
      expect((await admin.put(`${subject}/plan`, body).expect(400)).body.errors[0].path).to.equal(path);
    for (const [path, limits] of [
      ['limits.images', { images: -1 }],
      ['limits.reports', { reports: 5 }],
      ['limits.$where', { $where: 1 }],
      ['limits', {}],
    ] as const)
      expect((await admin.patch(`${subject}/limits`, { limits }).expect(400)).body.errors[0].path).to.equal(
        path,
      );
    await admin.post(`${subject}/usage/reset`, { feature: 'a.b' }).expect(400);
  });

  it('is for whoever holds admin.subjects.manage, and whose API key has it too', async () => {
    const { as, server, shared, globex, signIn } = await world();
    const bob = await as('bob@example.com');
    const subject = `/admin/subjects/organization/${globex}`;
    for (const ask of [
      () => bob.get(`${subject}/plan`),
      () => bob.put(`${subject}/plan`, { plan: 'pro' }),
      () => bob.delete(`${subject}/plan`),
      () => bob.patch(`${subject}/limits`, { limits: { images: 1 } }),
      () => bob.post(`${subject}/usage/reset`),
    ])
      expect((await ask().expect(403)).body).to.include({ requiredPermission: 'admin.subjects.manage' });
    const { body } = await signIn('admin@example.com');
    const keyFor = async (scope: string) => {
      const { key } = await createApiKey({ ...shared, userId: body.user.id, name: scope, scopes: [scope] });
      return clientsOf(server).withHeaders({ 'X-API-Key': key });
    };
    await (await keyFor('admin.plans.manage')).get(`${subject}/plan`).expect(403);
    await (await keyFor('admin.*')).get(`${subject}/plan`).expect(200);
  });
});
