import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  ApiKeys,
  AuditEntries,
  createOrganization,
  createUser,
  Organizations,
  Subscriptions,
  signIn,
  syncPlans,
  Users,
  verifyAllAudit,
} from '../lib/index.js';
import { startBrowser } from './support/browser.js';
import { firstMessage } from './support/first-message.js';
import { browser } from './support/http-browser.js';
import { client, startStandIn } from './support/oidc.js';
import { startStytch } from './support/stytch.js';
import { tellListening } from './support/tell-listening.js';
import {
  atEnd,
  clientsOf,
  dbName,
  emptyWorld,
  freePort,
  inspector,
  mongoUri,
  secret,
  until,
} from './support/world.js';

/** Runs an example as its own process, on the database of the tests. */
function run(name: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const uri = new URL(mongoUri());
  uri.pathname = `/${dbName}`;
  const file = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const settings = { ...process.env, MONGODB_URI: uri.href, TOLLGATE_SECRET: secret, ...env };
  const child = spawn(process.execPath, ['--import', 'tsx', '--import', tellListening, file], {
    env: settings,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  atEnd(async () => {
    if (child.exitCode !== null || !child.kill('SIGKILL')) return;
    await once(child, 'exit');
  });
  return child;
}

/** Runs an example that listens, and waits until it does. */
async function serving(name: string, env: (url: string) => NodeJS.ProcessEnv = () => ({})) {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const child = run(name, { ...env(url), PORT: String(port) });
  await firstMessage(child);
  return { port, url, ...clientsOf(url) };
}

describe('the examples', function () {
  this.timeout(180_000); // each starts programs, which are compiled first

  it('make people and plans, and guard a small application with them', async () => {
    await emptyWorld();
    const [code] = await once(run('setup'), 'exit');
    expect(code).to.equal(0);
    expect(await Users(inspector()).countDocuments()).to.equal(1);
    expect(await Subscriptions(inspector()).countDocuments({ plan: 'pro' })).to.equal(1);
    const { problems } = await verifyAllAudit({ connection: inspector(), keys: [secret] });
    expect(problems, 'all that it did is signed').to.deep.equal([]);

    const { anyone, withHeaders } = await serving('small');
    const credentials = { email: 'ada@example.com', password: 'lovelace-1815' };
    const { headers, body } = await anyone().post('/auth/sign-in', credentials).expect(200);
    expect(headers['set-cookie']?.[0]).to.match(/^__Host-access_token=/);
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });

    expect((await ada.get('/api/me').expect(200)).body).to.include({ email: 'ada@example.com' });
    expect((await ada.get('/api/admin').expect(403)).body).to.include({ code: 'role_missing' });
    for (let left = 9; left >= 0; left -= 1) await ada.post('/api/images').expect(201, { remaining: left });
    expect((await ada.post('/api/images').expect(429)).body).to.include({
      code: 'quota_exceeded',
      upgradeRequired: true,
    });
    expect((await ada.get('/nowhere').expect(404)).body).to.include({ code: 'not_found' });
  });

  it('tell of their routes in an OpenAPI document, which an administrator may read', async () => {
    const { shared } = await emptyWorld();
    const password = 'open the gate';
    await createUser({
      ...shared,
      email: 'ada@example.com',
      password,
      roles: ['admin'],
      emailVerified: true,
    });
    const { anyone, withHeaders } = await serving('openapi');
    const { body } = await anyone().post('/auth/sign-in', { email: 'ada@example.com', password }).expect(200);
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    const { paths } = (await ada.get('/openapi.json').expect(200)).body;
    expect(paths).to.include.keys('/auth/sign-in', '/notes', '/notes/{id}', '/openapi.json', '/docs');
    expect(paths['/notes'].post.summary).to.equal('Add note');
    expect(paths['/notes/{id}'].delete.responses['403'].description).to.include('permission_missing');
    await ada.post('/notes', { text: 'hello' }).expect(201, { id: '1', text: 'hello' });
    await ada.get('/docs').expect(200);
    await anyone().get('/docs').expect(401);
  });

  it('open a WebSocket for whoever is signed in', async () => {
    const { shared } = await emptyWorld();
    const password = 'open the gate';
    await createUser({ ...shared, email: 'ada@example.com', password, emailVerified: true });
    const { anyone, port } = await serving('websocket');
    const credentials = { email: 'ada@example.com', password };
    const { accessToken } = (await anyone().post('/auth/sign-in', credentials).expect(200)).body;
    const open = async (headers: object) => {
      const handshake = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'x', ...headers };
      const asked = request({ port, headers: handshake }).end();
      const [answer, socket, head] = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')]);
      return socket ? String(Buffer.concat([head, ...(await socket.toArray())])).slice(2) : answer.statusCode;
    };
    expect(await open({})).to.equal(401);
    expect(await open({ Authorization: `Bearer ${accessToken}` })).to.equal('ada@example.com');
  });

  it('take the sessions of a Stytch project', async () => {
    await emptyWorld();
    const { stytch, start } = await startStytch();
    const { withHeaders } = await serving('stytch', () => ({
      TOLLGATE_STYTCH_PROJECT_ID: stytch.projectId,
      TOLLGATE_STYTCH_SECRET: stytch.secret,
      TOLLGATE_STYTCH_API_BASE: stytch.env,
    }));
    const authentication_factors = [{ type: 'password' }, { type: 'totp' }];
    const rich = start({ session: { authentication_factors, custom_claims: { tier: 'gold' } } });
    const [poor, gold] = [start(), rich].map(({ token }) =>
      withHeaders({ Authorization: `Bearer ${token}` }),
    );
    expect((await poor?.get('/api/me').expect(200))?.body).to.deep.include({
      credential: 'stytch',
      stytchOrganization: 'organization-test-acme',
    });
    await poor?.get('/api/exports').expect(403);
    expect((await gold?.get('/api/exports').expect(200))?.body.claims).to.deep.equal({ tier: 'gold' });
  });

  it('let people in who have signed in elsewhere', async () => {
    await emptyWorld();
    const standIn = await startStandIn();
    const { url } = await serving('oauth', (url) => ({
      TOLLGATE_PUBLIC_URL: url,
      TOLLGATE_COOKIE_SECURE: 'false',
      TOLLGATE_OIDC_ISSUER: standIn.url,
      TOLLGATE_OIDC_CLIENT_ID: client.clientId,
      TOLLGATE_OIDC_CLIENT_SECRET: client.clientSecret,
    }));
    const visitor = browser();
    const page = async () => (await visitor.open(url)).text();
    const [, link = ''] = /href="(.*?)"/.exec(await page()) ?? [];

    const back = await visitor.follow(url + link, `${url}/auth/oauth/oidc/callback`);
    expect((await visitor.open(back)).headers.get('location')).to.equal('/');
    expect(await page()).to.include('You are signed in.');
  });

  it('let programs in by their keys, as far as the scopes go', async () => {
    const { shared } = await emptyWorld();
    expect(await once(run('robot'), 'exit')).to.deep.equal([0, null]);
    expect((await ApiKeys(inspector()).findOne().orFail().lean()).scopes).to.deep.equal(['builds.*']);
    const credentials = { email: 'ada@example.com', password: 'lovelace-1815' };
    await createUser({ ...shared, ...credentials, emailVerified: true });
    const { anyone, withHeaders } = await serving('api-keys');
    const { body } = await anyone().post('/auth/sign-in', credentials).expect(200);
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    const made = { name: 'reader', scopes: ['builds.read'] };
    const { key, prefix } = (await ada.post('/auth/api-keys', made).expect(201)).body;

    const program = withHeaders({ 'X-API-Key': key });
    const found = { owner: 'ada@example.com', key: prefix, builds: [] };
    expect((await program.get('/api/builds').expect(200)).body).to.deep.equal(found);
    expect((await program.post('/api/builds').expect(403)).body).to.include({ code: 'permission_missing' });
    expect((await ada.get('/api/builds').expect(403)).body).to.include({ code: 'credential_not_allowed' });
  });

  it('protect a route by a second factor and by passkeys, in a real browser by the code that the document shows', async function () {
    const browser = await startBrowser();
    if (!browser) return this.skip();
    const { shared } = await emptyWorld();
    const credentials = { email: 'ada@example.com', password: 'lovelace-1815' };
    await createUser({ ...shared, ...credentials, emailVerified: true });
    const { url } = await serving('factors');
    const page = await browser.newPage();
    const devTools = await page.context().newCDPSession(page);
    await devTools.send('WebAuthn.enable');
    await devTools.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    await page.goto(`${url}/api/me`);
    const document = await readFile(new URL('../docs/factors.md', import.meta.url), 'utf8');
    const [, script = ''] = /```js\n(.*?)```/s.exec(document) ?? [];
    const inPage = (code: string): Promise<Record<string, unknown>> =>
      page.evaluate(`(async () => { ${script}; ${code} })()`);
    const payout = "return { status: (await fetch('/api/payouts', { method: 'POST' })).status }";

    await inPage(`return post('/auth/sign-in', ${JSON.stringify(credentials)})`);
    expect(await inPage(payout)).to.deep.equal({ status: 403 });
    expect(await inPage("return addPasskey('Laptop')")).to.include({ name: 'Laptop', lastUsedAt: null });
    await page.context().clearCookies();
    expect(await inPage('return signInByPasskey()')).to.have.all.keys('user', 'accessToken', 'expiresIn');

    expect(await inPage("return (await fetch('/api/me')).json()")).to.deep.equal({
      email: 'ada@example.com',
      factors: ['passkey'],
    });
    expect(await inPage(payout)).to.deep.equal({ status: 202 });
  });

  it('limit how often a client may ask', async () => {
    await emptyWorld();
    const { anyone } = await serving('rate-limits');
    for (const status of [202, 202, 202, 429]) await anyone().post('/contact').expect(status);
    const { headers } = await anyone().get('/search').expect(401);
    expect(headers['ratelimit-policy']).to.match(/;q=300;w=60$/);
  });

  it('sell an AI service by images, by tokens that are reserved and settled, and by credits', async () => {
    const { shared } = await emptyWorld();
    const credentials = { email: 'ada@example.com', password: 'lovelace-1815' };
    const { id: user } = await createUser({ ...shared, ...credentials, emailVerified: true });
    const { anyone, withHeaders } = await serving('ai-generation', () => ({
      WEBHOOK_SECRET: 'of the provider',
    }));
    const { body } = await anyone().post('/auth/sign-in', credentials).expect(200);
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });

    for (const remaining of [2, 1, 0])
      expect((await ada.post('/api/images').expect(201)).body).to.include({ remaining });
    expect((await ada.post('/api/images').expect(429)).body).to.include({ feature: 'images' });

    const { text } = await ada.post('/api/chat', { prompt: 'to be' }).expect(200);
    expect(text).to.equal('to be to be ');
    const usage = async () => (await ada.get('/api/usage').expect(200)).body.items;
    await until(async () => (await usage())[2].used === 4);
    const { text: cut } = await ada.post('/api/chat', { prompt: 'a '.repeat(400) }).expect(200);
    expect(cut.split(' ').length - 1).to.equal(600);
    await until(async () => (await usage())[2].used === 604);

    await ada.post('/api/videos').expect(429);
    const payment = { payment: 'payment-1', user, credits: 50 };
    await anyone().post('/api/payments', payment).expect(401);
    const provider = withHeaders({ 'X-Webhook-Secret': 'of the provider' });
    for (const _ of [1, 2]) await provider.post('/api/payments', payment).expect(204);
    expect((await ada.post('/api/videos').expect(202)).body).to.deep.equal({ credits: 30 });
    expect(
      (await usage()).map(({ feature, used }: { feature: string; used: number }) => [feature, used]),
    ).to.deep.equal([
      ['credits', 20],
      ['images', 3],
      ['tokens', 604],
    ]);
  });

  it('are asked once for what a key stands for', async () => {
    const { shared } = await emptyWorld();
    const person = { email: 'ada@example.com', password: 'lovelace-1815' };
    await createUser({ ...shared, ...person, emailVerified: true });
    const features = { images: { limit: 10, per: 'month' } } as const;
    await syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });
    const { accessToken } = await signIn({ ...shared, ...person });
    const { withHeaders } = await serving('idempotency');
    const ada = withHeaders({ Authorization: `Bearer ${accessToken}`, 'Idempotency-Key': 'mine' });
    const image = (await ada.post('/images').expect(201)).body;
    await ada.post('/images').expect(201, image);
    const { headers } = await ada.post('/orders').expect(201);
    expect((await ada.post('/orders').expect(201)).headers.location).to.equal(headers.location);
    for (const job of ['1', '1', '2'])
      await ada.post(`/jobs/${job}`).expect(200, { remaining: job === '1' ? 8 : 7 });
  });

  it('record what was done, and prove the log', async () => {
    const { shared } = await emptyWorld();
    const person = { email: 'ada@example.com', password: 'lovelace-1815' };
    await createUser({ ...shared, ...person, roles: ['admin'], emailVerified: true });
    const { anyone, withHeaders } = await serving('audit');
    const { body } = await anyone().post('/auth/sign-in', person).expect(200);
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    await ada.delete('/api/projects/1').expect(204);
    await ada.delete('/api/projects/1').expect(404);
    const verified = async () => (await ada.get('/api/audit/verification').expect(200)).body;
    await until(async () => (await verified()).head?.seq === 3);
    expect(await verified()).to.deep.include({ ok: true, checked: 3, problems: [] });
  });

  it('put people on plans for a while, and show the plans to anyone', async () => {
    const { shared } = await emptyWorld();
    const person = { email: 'ada@example.com', password: 'lovelace-1815' };
    await createUser({ ...shared, ...person, emailVerified: true });
    const { anyone, withHeaders } = await serving('plans');
    const { items } = (await anyone().get('/billing/plans').expect(200)).body;
    expect(items.map(({ code }: { code: string }) => code)).to.deep.equal(['free', 'pro']);
    const { body } = await anyone().post('/auth/sign-in', person).expect(200);
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    expect((await ada.get('/api/reports').expect(403)).body).to.include({ upgradeRequired: true });
    for (const name of ['one', 'two', 'three']) await ada.post('/api/projects', { name }).expect(201);
    expect((await ada.post('/api/projects', { name: 'four' }).expect(429)).body).to.deep.include({
      feature: 'projects',
      limit: 3,
      used: 3,
    });
    await ada.post('/api/trial').expect(204);
    await ada.post('/api/projects', { name: 'four' }).expect(201);
    expect((await ada.get('/api/reports').expect(200)).body).to.deep.equal({ projects: 50 });
    const stored = await Subscriptions(inspector()).findOne({ 'subject.id': body.user.id }).lean();
    expect(stored?.overrides).to.deep.equal({ images: 20 });
    expect(stored?.expiresAt?.getTime()).to.be.above(Date.now() + 13 * 86_400_000);
    await ada.get('/admin/plans').expect(403);
  });

  it('guard routes by permissions, everywhere and in organizations', async () => {
    const { shared } = await emptyWorld();
    const [ada, bob] = ['ada', 'bob'].map((name) => ({
      email: `${name}@example.com`,
      password: 'lovelace-1815',
    }));
    const owner = await createUser({ ...shared, ...ada, email: 'ada@example.com', emailVerified: true });
    await createUser({
      ...shared,
      ...bob,
      email: 'bob@example.com',
      roles: ['support'],
      emailVerified: true,
    });
    await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: owner.id });
    const { anyone, withHeaders } = await serving('roles');
    const signIn = async (person: object | undefined) => {
      const { body } = await anyone().post('/auth/sign-in', person).expect(200);
      return withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    };
    const [member, support] = [await signIn(ada), await signIn(bob)];
    await support.get('/api/tickets').expect(200);
    await member.get('/api/tickets').expect(403);
    await member.post('/api/projects').expect(201, { organization: 'acme' });
    await member.get('/api/projects').expect(200, { items: [], canWrite: true });
    await member.post('/api/handover').expect(204);
    await support.post('/api/projects').expect(400);
    await support.post('/admin/users', { email: 'eve@example.com' }).expect(201);
    await support.post('/admin/users', { email: 'mal@example.com', roles: ['admin'] }).expect(403);
  });

  it('track the projects of two teams', async () => {
    await emptyWorld();
    const { anyone, withHeaders } = await serving('project-tracker');
    const signIn = async (email: string, password: string) => {
      const { body } = await anyone().post('/auth/sign-in', { email, password }).expect(200);
      return [withHeaders({ Authorization: `Bearer ${body.accessToken}` }), body.user] as const;
    };
    const [red, ada] = await signIn('ada@example.com', 'lovelace-1815');
    const [blue, grace] = await signIn('grace@example.com', 'hopper-1906');
    const { body: made } = await red.post('/api/projects', { name: 'Engine', lead: grace.id }).expect(201);
    await red.post('/api/projects', { name: 'Loom', lead: '0'.repeat(24) }).expect(404);
    const { body: theirs } = await blue.post('/api/projects', { name: 'Compiler', lead: ada.id }).expect(201);
    expect((await red.get('/api/projects').expect(200)).body.items).to.deep.equal([made]);
    expect((await blue.get('/api/projects').expect(200)).body.items).to.deep.equal([theirs]);
    const { body: shown } = await red.get(`/api/projects/${made.id}`).expect(200);
    expect(shown.lead).to.include({ email: 'grace@example.com' }).and.not.have.property('password');
    for (const path of [`/api/projects/${made.id}`, '/api/projects/nonsense']) {
      await blue.get(path).expect(404);
      await blue.patch(path, { done: true }).expect(404);
      await blue.delete(path).expect(404);
    }
    await red.patch(`/api/projects/${made.id}`, { done: true }).expect(204);
    await red.delete(`/api/projects/${made.id}`).expect(204);
    await blue.get(`/api/projects/${theirs.id}`).expect(200);
    const { items } = (await red.get('/organizations').expect(200)).body;
    const teams = (await red.get(`/organizations/${items[0].id}/teams`).expect(200)).body.items;
    expect(teams.map(({ name }: { name: string }) => name)).to.deep.equal(['red', 'blue']);
    const entries = await AuditEntries(inspector()).find({ action: 'tenants.crossed' }).lean();
    expect(entries.map(({ details }) => details)).to.deep.equal([{ reason: 'report of open projects' }]);
  });

  it('give users a field of the application', async () => {
    await emptyWorld();
    const [code] = await once(run('own-fields'), 'exit');
    expect(code).to.equal(0);
    const stored = await inspector().collection('users').findOne({ email: 'grace@example.com' });
    expect(stored).to.include({ fullName: 'Grace Hopper' });
  });

  it('make an organization with seats, a default team and members', async () => {
    await emptyWorld();
    expect(await once(run('organizations'), 'exit')).to.deep.equal([0, null]);
    const found = await Organizations(inspector()).findOne({ slug: 'acme-rockets' }).orFail().lean();
    expect(found).to.include({ members: 2, owners: 1, seats: 10 });
  });

  it('give users ids, roles and answers of the application’s own', async () => {
    await emptyWorld();
    const { anyone } = await serving('own-users');
    const stored = await inspector().collection('users').findOne({ email: 'grace@example.com' });
    expect(stored?._id).to.match(/^[0-9a-f]{8}-/);
    expect(stored).to.deep.include({ roles: ['customer'] });
    const credentials = { email: 'grace@example.com', password: 'cobol-forever' };
    const { body } = await anyone().post('/auth/sign-in', credentials).expect(200);
    expect(body.user).to.deep.equal({ id: stored?._id, label: 'Grace Hopper' });
  });
});
