import { expect } from 'chai';
import Koa from 'koa';
import {
  AuditEntries,
  billingRouter,
  Grants,
  organizationRouter,
  problems,
  type SharedOptions,
} from '../../lib/index.js';
import { clientsOf, inspector, serve, times, world } from '../support/world.js';

/** The routers that have routes of usage. */
async function routed(shared: SharedOptions) {
  const app = new Koa();
  app.use(problems()).use(billingRouter(shared).routes()).use(organizationRouter(shared).routes());
  return clientsOf(await serve(app));
}

const tokenOf = async (
  signIn: (email: string) => PromiseLike<{ body: { accessToken: string } }>,
  email: string,
) => ({
  Authorization: `Bearer ${(await signIn(email)).body.accessToken}`,
});

describe('the routes of usage', () => {
  it('show an organization to its members, and a user themselves where none is named', async () => {
    const { shared, signIn, as, acme, globex } = await world();
    const { withHeaders } = await routed(shared);
    const [ada, bob] = [await tokenOf(signIn, 'ada@example.com'), await tokenOf(signIn, 'bob@example.com')];
    const client = await as('ada@example.com', { 'X-Organization-Id': acme });
    await client.post('/api/images').expect(201);
    await client.post('/api/searches', { amount: 3 }).expect(200);

    const { body } = await withHeaders(ada).get(`/organizations/${acme}/usage`).expect(200);
    expect(body.nextCursor).to.equal(null);
    const [images] = body.items;
    expect(images).to.include({ feature: 'images', limit: 100, used: 1, remaining: 99 });
    expect(images).to.deep.include({ balances: [], history: [] });
    expect(new Date(images.resetsAt).getUTCDate()).to.equal(1);
    await withHeaders(bob).get(`/organizations/${acme}/usage`).expect(404);

    const own = await withHeaders(ada).get('/billing/usage').expect(200);
    expect(
      own.body.items.map((item: { feature: string; used: number }) => [item.feature, item.used]),
    ).to.deep.equal([
      ['images', 0],
      ['searches', 3],
      ['tokens', 0],
    ]);
    const named = { ...ada, 'X-Organization-Id': acme };
    expect((await withHeaders(named).get('/billing/usage').expect(200)).body.items[0].used).to.equal(1);
    const member = { ...ada, 'X-Organization-Id': globex };
    expect((await withHeaders(member).get('/billing/usage').expect(403)).body).to.include({
      requiredPermission: 'billing.read',
    });
    await withHeaders({ ...bob, 'X-Organization-Id': acme })
      .get('/billing/usage')
      .expect(404);
    await withHeaders({}).get('/billing/usage').expect(401);
    await withHeaders(ada).get('/billing/usage?feature=images').expect(400);

    const strict = await routed({ ...shared, strict: true });
    for (const path of ['/billing/usage', `/organizations/${acme}/usage`])
      expect((await strict.withHeaders(named).get(path).expect(200)).body.items[0].used).to.equal(1);
  });
});

describe('the routes of grants', () => {
  it('give units to a subject, and explain a refusal, to administrators only', async () => {
    const { as, globex } = await world();
    const [admin, ada] = [
      await as('admin@example.com'),
      await as('ada@example.com', { 'X-Organization-Id': globex }),
    ];
    const grants = `/admin/subjects/organization/${globex}/grants`;
    const expiresAt = '2100-01-01T00:00:00.000Z';
    const { body, headers } = await admin
      .post(grants, { feature: 'images', amount: 5, expiresAt })
      .expect(201);
    expect(body).to.include({ feature: 'images', amount: 5, expiresAt });
    expect(headers.location).to.equal(`${grants}/${body.id}`);
    expect((await ada.post('/api/images').expect(201)).body.remaining).to.equal(14);
    const entry = await AuditEntries(inspector()).findOne({ action: 'credits.granted' }).orFail().lean();
    expect(entry.details).to.include({ feature: 'images', amount: 5 });

    const explain = `/admin/subjects/organization/${globex}/explain?feature=images`;
    const told = (await admin.get(explain).expect(200)).body;
    expect(told).to.deep.include({ verdict: 'granted', subject: { type: 'organization', id: globex } });
    expect(told.usage.balances).to.deep.equal([{ id: body.id, left: 5, expiresAt }]);

    for (const wrong of [
      { amount: 0 },
      { amount: '5' },
      { feature: 'A' },
      { expiresAt: '2020-01-01' },
      { id: 'with space' },
      { id: '' },
    ])
      await admin.post(grants, { feature: 'images', amount: 5, ...wrong }).expect(400);
    await admin
      .post(`/admin/subjects/organization/${'0'.repeat(24)}/grants`, { feature: 'images', amount: 5 })
      .expect(404);
    await admin.post(`/admin/subjects/team/${globex}/grants`, { feature: 'images', amount: 5 }).expect(404);
    await ada.post(grants, { feature: 'images', amount: 5 }).expect(403);
    await ada.get(explain).expect(403);
    await admin.get(explain.replace('?feature=images', '')).expect(400);
  });

  it('give once what an administrator asks for again, by an id or a key', async () => {
    const { as, globex } = await world();
    const admin = await as('admin@example.com');
    const grants = `/admin/subjects/organization/${globex}/grants`;
    const named = { feature: 'images', amount: 5, id: 'invoice/7' };
    const first = await admin.post(grants, named).expect(201);
    expect(first.headers.location).to.equal(`${grants}/invoice%2F7`);
    expect((await admin.post(grants, named).expect(201)).body).to.deep.equal(first.body);
    await admin.post(grants, { ...named, amount: 6 }).expect(409);

    const keyed = (amount: number) =>
      admin.post(grants, { feature: 'images', amount }).set('Idempotency-Key', 'a retry');
    const answers = await Promise.all(times(5, () => keyed(7)));
    expect(answers.map(({ status }) => status)).to.include(201);
    const again = await keyed(7).expect(201).expect('Idempotency-Replayed', 'true');
    expect(again.body).to.deep.equal(answers.find(({ status }) => status === 201)?.body);
    await keyed(8).expect(422);
    expect(await Grants(inspector()).countDocuments()).to.equal(2);
  });
});

describe('POST /api/completions of the demo', () => {
  it('reserves a thousand tokens of the organization, and pays for those that were used', async () => {
    const { as, globex } = await world();
    const ada = await as('ada@example.com', { 'X-Organization-Id': globex });
    await ada.post('/api/completions', { tokens: 640 }).expect(200, { used: 640, remaining: 9_360 });
    await ada.post('/api/completions', { tokens: 1_360 }).expect(200, { used: 2_000, remaining: 8_000 });
    await ada.post('/api/completions', { tokens: 0 }).expect(200, { used: 2_000, remaining: 8_000 });
    await ada.post('/api/completions', { tokens: 7_500 }).expect(200, { used: 9_500, remaining: 500 });
    expect((await ada.post('/api/completions').expect(429)).body).to.include({
      feature: 'tokens',
      remaining: 500,
    });
    await ada.post('/api/completions', { tokens: -1 }).expect(400);
  });
});
