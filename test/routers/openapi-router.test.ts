import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect } from 'chai';
import Joi from 'joi';
import Koa from 'koa';
import {
  type AuthFeatures,
  addMember,
  adminRouter,
  answers,
  authRouter,
  billingRouter,
  body,
  createApiKey,
  endpoint,
  healthRouter,
  invitationRouter,
  oauthRouter,
  openapiRouter,
  organizationRouter,
  planRouter,
  problems,
  type SharedOptions,
} from '../../lib/index.js';
import { startBrowser } from '../support/browser.js';
import { mailWorld } from '../support/mailbox.js';
import { asking, type Document, documented, type Operation, operation } from '../support/openapi.js';
import { clientsOf, emptyWorld, portOf, secret, serve, world } from '../support/world.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const everything: SharedOptions = {
  keys: [secret],
  publicUrl: 'https://app.example.com',
  mail: async () => {},
  passkeys: true,
  providers: {
    google: { clientId: 'id', clientSecret: 'secret' },
    telegram: { botToken: '1:abcdefghijklmnopqrstuvwxyz' },
  },
};

const routersOf = (shared: SharedOptions, features: AuthFeatures = {}) => [
  authRouter({ ...shared, features }),
  oauthRouter(shared),
  organizationRouter(shared),
  invitationRouter(shared),
  adminRouter(shared),
  planRouter(shared),
  billingRouter(shared),
  healthRouter(shared),
];

async function documentOf(routers: ReturnType<typeof routersOf>, shared: SharedOptions = everything) {
  const app = appOf({ ...shared, routers, title: 'Acme', version: '1.2.3' });
  const { body, headers } = await clientsOf(await serve(app))
    .anyone()
    .get('/openapi.json')
    .expect(200);
  expect(headers['content-type']).to.equal('application/json; charset=utf-8');
  return body as Document;
}

/** `POST /auth/sign-in`, of every route but those that answer HEAD beside GET. */
const routesIn = (routers: ReturnType<typeof routersOf>) =>
  routers.flatMap(({ stack }) =>
    stack.flatMap(({ methods, path }) =>
      methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${path}`),
    ),
  );

const own = ['GET /docs', 'GET /docs/:file', 'GET /openapi.json'];

const bodyOf = ({ requestBody }: Operation) => requestBody?.content['application/json'].schema;

const appOf = (options: Parameters<typeof openapiRouter>[0]): Koa => {
  const app = new Koa();
  app.use(problems()).use(openapiRouter(options).routes());
  return app;
};

describe('openapiRouter()', () => {
  it('tells of every route of its routers, and of no other, in a valid OpenAPI 3.1 document', async () => {
    const routers = routersOf(everything);
    const document = await documentOf(routers);
    expect(document.openapi).to.equal('3.1.0');
    expect(document.info).to.deep.equal({ title: 'Acme', version: '1.2.3' });
    expect(routesIn(routers).length).to.be.greaterThan(40);
    expect(documented(document).sort()).to.deep.equal([...new Set([...routesIn(routers), ...own])].sort());
    expect(await new Validator().validate(structuredClone(document))).to.deep.equal({ valid: true });
  });

  it('tells what a route reads, who may ask and what it refuses with, by its guards', async () => {
    const document = await documentOf(routersOf(everything));

    const signIn = operation(document, 'post', '/auth/sign-in');
    expect(bodyOf(signIn)?.required).to.deep.equal(['email', 'password']);
    expect(Object.keys(bodyOf(signIn)?.properties ?? {})).to.deep.equal([
      'email',
      'password',
      'tokenDelivery',
    ]);
    expect(signIn.security).to.equal(undefined);
    expect(signIn.responses['401']?.description).to.include('credentials_invalid: ');
    expect(signIn.responses['403']?.description).to.include('cross_origin: ');
    expect(signIn.responses['429']?.description).to.equal('rate_limited: Too many requests');

    const list = operation(document, 'get', '/organizations');
    expect(list.parameters.map(({ name }) => name)).to.deep.equal(['limit', 'cursor']);
    expect(list.security).to.deep.equal([{ cookie: [] }, { bearer: [] }, { apiKey: ['organizations.read'] }]);
    expect(list.responses['403']?.description).not.to.include('cross_origin');

    const usage = operation(document, 'get', '/billing/usage');
    expect(usage.parameters.map(({ name }) => name)).to.deep.equal(['X-Organization-Id']);
    expect(usage.responses['403']?.description).to.include('permission_missing: ');
    expect(usage.responses['404']?.description).to.include('not_found: ');

    const erase = operation(document, 'delete', '/auth/account');
    expect(erase.security).to.deep.equal([{ cookie: [] }, { bearer: [] }]);
    expect(erase.responses['401']?.description).to.include('reauthentication_required');
    const [id] = operation(document, 'delete', '/auth/sessions/{id}').parameters;
    expect(id).to.deep.include({ name: 'id', in: 'path', required: true });
    const { securitySchemes } = document.components;
    expect(securitySchemes.cookie).to.deep.include({ name: '__Host-access_token' });

    const users = operation(document, 'get', '/admin/users');
    expect(users.security?.at(-1)).to.deep.equal({ apiKey: ['admin.users.read'] });
    expect(users.responses['403']?.description).to.include('permission_missing');
  });

  it('tells of the cookie with the refresh token at the two routes that read it', async () => {
    const document = await documentOf(routersOf(everything));
    expect(document.components.securitySchemes.refreshCookie).to.deep.equal({
      type: 'apiKey',
      in: 'cookie',
      name: '__Host-refresh_token',
    });
    const reading = Object.entries(document.paths).filter(([, item]) =>
      Object.values(item).some(({ security }) => security?.some((each) => 'refreshCookie' in each)),
    );
    expect(reading.map(([path]) => path)).to.deep.equal(['/auth/refresh', '/auth/sign-out']);
    const securityOf = (path: string) => operation(document, 'post', path).security;
    expect(securityOf('/auth/refresh')).to.deep.equal([{ refreshCookie: [] }, {}]); // or in the body
    expect(securityOf('/auth/sign-out')).to.deep.equal([
      { cookie: [] },
      { bearer: [] },
      { refreshCookie: [] },
      {},
    ]);
  });

  /** A part whose switch is off takes its routes along, and a parent those of its parts. */
  const switches: [off: AuthFeatures, gone: string[]][] = [
    [{ signUp: false }, ['/auth/signup', '/auth/signup/send-link', '/auth/signup/verify']],
    [
      { password: false },
      [
        '/auth/password/change',
        '/auth/password/forgot',
        '/auth/password/reset',
        '/auth/password/verify-token',
        '/auth/sign-in',
        '/auth/signup',
        '/auth/signup/send-link',
        '/auth/signup/verify',
      ],
    ],
    [{ account: false, erasure: true }, ['/auth/account', '/auth/deactivate', '/auth/export']],
    [{ profile: false }, ['/auth/email/change', '/auth/email/confirm', '/auth/profile']],
    [{ apiKeys: false }, ['/auth/api-keys', '/auth/api-keys/{id}', '/auth/api-keys/{id}/rotate']],
  ];
  for (const [off, gone] of switches) {
    it(`has no route and no schema of what ${JSON.stringify(off)} switches off`, async () => {
      const [whole, less] = await Promise.all([
        documentOf(routersOf(everything)),
        documentOf(routersOf(everything, off)),
      ]);
      const missing = Object.keys(whole.paths).filter((path) => !(path in less.paths));
      expect(missing.sort()).to.deep.equal(gone);
      expect('NewApiKey' in less.components.schemas).to.equal(off.apiKeys !== false);
    });
  }

  it('tells of every route of the demo, whose answers are as it says', async () => {
    const { anyone, as, shared, connection } = await world();
    const document: Document = (await anyone().get('/openapi.json').expect(200)).body;
    const { ask, have, asked } = asking(document);
    const ada = await as('ada@example.com');
    const { id: userId } = await have(ada, 'get', '/auth/profile');
    await createApiKey({ ...shared, connection, userId, name: 'robot' });
    for (const path of ['/auth/sessions', '/auth/api-keys', '/auth/providers', '/auth/export', '/health', '/health/live'])
      await have(ada, 'get', path); // biome-ignore format: a list
    const credentials = { email: 'ada@example.com', password: 'lovelace-1815' };
    await have(anyone(), 'post', '/auth/sign-in', credentials);
    await ask(anyone(), 'post', '/auth/sign-in', { ...credentials, password: 'x' });
    await ask(anyone(), 'post', '/auth/sign-in', { email: 1 });
    await have(ada, 'post', '/auth/check');
    await have(ada, 'post', '/auth/api-keys', { name: 'another' });
    await have(ada, 'post', '/auth/totp');
    await have(ada, 'delete', '/auth/sessions');
    await ask(anyone(), 'get', '/auth/sessions');
    expect(asked.size).to.equal(12);
    expect(documented(document)).to.include.members(own);
    const silent = Object.entries(document.paths).filter(([, item]) =>
      Object.values(item).some(({ responses }) => '2XX' in responses),
    );
    expect(
      silent.map(([path]) => path),
      'nobody says what these answer',
    ).to.deep.equal([]);
  });

  it('says that health answers 503 with the JSON of its own, as it does, and the others with a problem', async () => {
    const { shared } = await emptyWorld();
    const queue = { check: () => Promise.reject(new Error('full')), critical: true };
    const health = healthRouter({ ...shared, checks: { queue } });
    const routers = [health, planRouter(shared)];
    const document = await documentOf(routers as never, shared);
    const app = new Koa();
    app.use(problems()).use(health.routes());
    const { ask, have } = asking(document);
    const anyone = clientsOf(await serve(app)).anyone();
    for (const path of ['/health', '/health/ready']) {
      const { status, type } = await ask(anyone, 'get', path);
      expect([status, type]).to.deep.equal([503, 'application/json']);
    }
    await have(anyone, 'get', '/health/live');
    const { 503: other } = operation(document, 'get', '/billing/plans').responses;
    expect(Object.keys(other?.content ?? {})).to.deep.equal(['application/problem+json']);
  });

  it('says what every route of organizations, invitations, administrators, plans and the product answers', async () => {
    const made = await mailWorld();
    const { shared, connection, acme, anyone, signIn, tokenOf, withHeaders } = made;
    const document: Document = (await anyone().get('/openapi.json').expect(200)).body;
    const { have, asked } = asking(document);
    const enter = async (email: string) => {
      const { accessToken, user } = (await signIn(email).expect(200)).body;
      const headers = { Authorization: `Bearer ${accessToken}` };
      return [withHeaders(headers), user.id as string, headers] as const;
    };
    const [ada, adaId, headers] = await enter('ada@example.com');
    const [bob, bobId] = await enter('bob@example.com');
    const [admin, adminId] = await enter('admin@example.com');

    const { id } = await have(ada, 'post', '/organizations', { name: 'Lab' });
    const lab = `/organizations/${id}`;
    await have(ada, 'patch', lab, { name: 'Laboratory' });
    const role = `${lab}/roles/clerk`;
    await have(ada, 'post', `${lab}/roles`, { name: 'clerk', permissions: ['organization.audit.read'] });
    await have(ada, 'get', `${lab}/roles`);
    await have(ada, 'patch', role, { permissions: [] });
    await have(ada, 'delete', role);
    const team = `${lab}/teams/${(await have(ada, 'post', `${lab}/teams`, { name: 'red' })).id}`;
    await have(ada, 'patch', team, { name: 'green' });
    await have(ada, 'get', `${lab}/teams`);
    await have(ada, 'put', `${team}/members/${adaId}`);
    await have(ada, 'get', `${team}/members`);
    await have(ada, 'put', `${lab}/current-team`, { teamId: team.split('/').at(-1) });
    await have(ada, 'delete', `${team}/members/${adaId}`);
    await have(ada, 'delete', team);

    const invite = () => have(ada, 'post', `${lab}/invitations`, { email: 'bob@example.com' });
    const answer = async (how: 'accept' | 'decline') =>
      have(bob, 'post', `/invitations/${how}`, { token: await tokenOf('bob@example.com', 'invitation') });
    await invite();
    await answer('decline');
    const { id: first } = await invite();
    await tokenOf('bob@example.com', 'invitation');
    await have(ada, 'get', `${lab}/invitations`);
    await have(ada, 'delete', `${lab}/invitations/${first}`);
    const { id: second } = await invite();
    await tokenOf('bob@example.com', 'invitation');
    await have(ada, 'post', `${lab}/invitations/${second}/resend`);
    await answer('accept');

    await have(ada, 'patch', `${lab}/members/${bobId}`, { role: 'admin' });
    await have(ada, 'get', `${lab}/members/${bobId}`);
    await addMember({ ...shared, organizationId: id, userId: adminId });
    await have(ada, 'delete', `${lab}/members/${adminId}`);
    for (const path of ['/organizations', lab, ...['members', 'entitlements', 'usage', 'audit'].map((each) => `${lab}/${each}`)])
      await have(ada, 'get', path); // biome-ignore format: a list
    await have(ada, 'post', `${lab}/transfer`, { userId: bobId });
    await have(ada, 'post', `${lab}/leave`);
    await have(bob, 'delete', lab);

    for (const path of ['/billing/plans', '/billing/plans/pro']) await have(anyone(), 'get', path);
    await have(ada, 'get', '/billing/usage');
    const plan = { code: 'team', name: 'Team', tier: 2 };
    const features = {
      sso: true,
      seats: 5,
      drafts: { credits: 2 },
      images: { limit: 9, per: 'month', rollover: { cap: 3 }, overage: { cap: null } },
      tokens: { limit: null, per: 'day' },
    };
    await have(admin, 'post', '/admin/plans', { ...plan, features });
    await have(admin, 'patch', '/admin/plans/team', { name: 'Teams' });
    for (const path of ['/admin/plans', '/admin/plans/team']) await have(admin, 'get', path);
    const subject = `/admin/subjects/user/${bobId}`;
    await have(admin, 'put', `${subject}/plan`, { plan: 'team' });
    await have(admin, 'patch', `${subject}/limits`, { limits: { images: 1, tokens: null } });
    await have(admin, 'post', `${subject}/grants`, { feature: 'images', amount: 2 });
    await have(admin, 'get', `${subject}/plan`);
    for (const feature of ['images', 'sso', 'none'])
      await have(admin, 'get', `${subject}/explain?feature=${feature}`);
    await have(admin, 'post', `${subject}/usage/reset`, {});
    await have(admin, 'delete', `${subject}/plan`);
    await have(admin, 'delete', '/admin/plans/team');

    const rules = { create: ['user'], update: '*' };
    const definition = { permissions: ['admin.users.read'], managementRules: rules };
    for (const _ of ['made', 'changed']) await have(admin, 'put', '/admin/roles/support', definition);
    for (const path of ['/admin/roles', '/admin/roles/support']) await have(admin, 'get', path);
    await have(admin, 'delete', '/admin/roles/support');
    const { id: eveId } = await have(admin, 'post', '/admin/users', { email: 'eve@example.com' });
    const eve = `/admin/users/${eveId}`;
    await have(admin, 'patch', eve, { name: 'Eve' });
    await have(admin, 'post', `${eve}/unlock`);
    await have(admin, 'delete', eve);
    for (const path of ['/admin/users', eve]) await have(admin, 'get', path);
    const sessions = `/admin/users/${bobId}/sessions`;
    const [session] = (await have(admin, 'get', sessions)).items;
    await have(admin, 'delete', `${sessions}/${session.id}`);
    await have(admin, 'delete', sessions);
    for (const path of ['organizations', 'audit', 'audit/verify']) await have(admin, 'get', `/admin/${path}`);

    const here = { 'X-Organization-Id': acme };
    const designer = withHeaders({ ...headers, ...here });
    const { key } = await createApiKey({ ...shared, connection, userId: adaId, name: 'robot' });
    await have(withHeaders({ 'X-API-Key': key }), 'get', '/api/machine');
    await have(anyone(), 'get', '/api/hello');
    await have(admin, 'get', '/api/admin');
    for (const path of ['/api/me', '/api/browser', '/api/reports']) await have(designer, 'get', path);
    await have(ada, 'get', '/api/me'); // in two organizations, so in none
    for (const path of ['images', 'bundles', 'searches', 'completions'])
      await have(designer, 'post', `/api/${path}`, {});
    const project = `/api/projects/${(await have(designer, 'post', '/api/projects', { name: 'Engine' })).id}`;
    await have(designer, 'patch', project, { done: true });
    for (const path of ['/api/projects', project]) await have(designer, 'get', path);
    await have(designer, 'delete', project);

    const ours = documented(document).filter((route) =>
      / \/(organizations|invitations|admin|billing|api)\b/.test(route),
    );
    expect(ours.length).to.be.greaterThan(70);
    expect([...asked].sort()).to.deep.equal(ours.sort());
  });

  it('takes the routes of an application as they tell of themselves, and of named schemas one copy', async () => {
    const [router] = routersOf(everything);
    const note = { title: 'Note', type: 'object', properties: { text: { type: 'string' } } };
    const post = body({ text: Joi.string().max(10) });
    router?.post(
      '/notes/:id',
      endpoint(post, answers(201, note, 'conflict'), function addNote() {}),
    );
    router?.get('/notes', answers(200, { type: 'array', items: note }), () => {});
    const document = await documentOf(router ? [router] : []);
    const { responses, ...told } = operation(document, 'post', '/auth/notes/{id}');
    expect(told).to.deep.include({ summary: 'Add note', tags: ['auth'] });
    expect(responses['201']?.content?.['application/json']?.schema).to.deep.equal({
      $ref: '#/components/schemas/Note',
    });
    expect(responses['409']?.description).to.equal('conflict: The request conflicts with the current state');
    expect(document.components.schemas.Note).to.deep.include({ type: 'object' });
  });

  it('says nothing of the shape of users where the application shapes them itself', async () => {
    const shaped = { ...everything, showUser: () => ({ nick: 'ada' }) };
    const { components } = await documentOf(routersOf(shaped), shaped);
    expect(components.schemas.User).to.deep.equal({ type: 'object' });
  });

  it('shows both to those alone whom its guard lets through', async () => {
    const { shared } = await emptyWorld();
    const guard: Koa.Middleware = (ctx) => ctx.throw(404);
    const routers = [healthRouter(shared)];
    const app = appOf({ routers, title: 'Acme', version: '1', guard });
    const { anyone } = clientsOf(await serve(app));
    for (const path of ['/openapi.json', '/docs', '/docs/swagger-ui.css'])
      await anyone().get(path).expect(404);
  });

  it('serves no file of the package but those that the page needs', async () => {
    const routers = [healthRouter()];
    const app = appOf({ routers, title: 'Acme <b>', version: '1' });
    const { anyone } = clientsOf(await serve(app));
    const page = await anyone().get('/docs').expect(200);
    expect(page.text).to.include('<title>Acme &#60;b&#62;</title>');
    expect(page.headers['content-security-policy']).to.match(
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    await anyone()
      .get('/docs/swagger-ui-bundle.js')
      .expect(200)
      .expect('content-type', /javascript/);
    for (const name of ['package.json', 'swagger-ui.js', '..%2fpackage.json', '__proto__'])
      await anyone().get(`/docs/${name}`).expect(404);
    const without = appOf({ routers, title: 'A', version: '1', docs: false });
    await clientsOf(await serve(without))
      .anyone()
      .get('/docs')
      .expect(404);
  });

  it('shows its routes in a real browser, which asks nobody else and finds nothing that the policy forbids', async function () {
    const browser = await startBrowser();
    if (!browser) return this.skip();
    const { server } = await world();
    const origin = `http://127.0.0.1:${portOf(server)}`;
    const page = await browser.newPage();
    const [asked, said]: [string[], string[]] = [[], []];
    page.on('request', (request) => asked.push(request.url()));
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    await page.goto(`${origin}/docs`);
    await page.getByText('/auth/sign-in', { exact: true }).waitFor();
    expect(asked.filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith('data:'))).to.deep.equal(
      [],
    );
    expect(said).to.deep.equal([]);
  });

  it('says at the start that its package is missing, and does without it where there is no page', async () => {
    const script = `
      import Module from 'node:module';
      const resolve = Module._resolveFilename;
      Module._resolveFilename = (name, ...rest) => {
        if (name.startsWith('swagger-ui-dist')) throw new Error('not installed');
        return resolve(name, ...rest);
      };
      const { healthRouter, openapiRouter } = await import('./lib/index.js');
      const options = { routers: [healthRouter()], title: 'Acme', version: '1' };
      openapiRouter({ ...options, docs: false });
      try {
        openapiRouter(options);
      } catch (error) {
        console.log(String(error));
      }`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect(stdout).to.equal(
      'TypeError: openapiRouter(): needs the package swagger-ui-dist: npm install swagger-ui-dist; or give docs: false\n',
    );
  });

  it('names what is wrong with its options', () => {
    const wrong = { routers: ['auth'], title: 'Acme' } as never;
    expect(() => openapiRouter(wrong)).to.throw(
      TypeError,
      'openapiRouter(): option routers[0] must be a router of @koa/router (got a string); option version is required',
    );
    expect(() => answers(200, null, 'no_such' as never)).to.throw(TypeError, 'answers(): give a status');
  });
});
