import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect } from 'chai';
import Joi from 'joi';
import Koa from 'koa';
import {
  type AuthFeatures,
  answers,
  authRouter,
  billingRouter,
  body,
  createApiKey,
  endpoint,
  healthRouter,
  oauthRouter,
  openapiRouter,
  organizationRouter,
  problems,
  type SharedOptions,
} from '../../lib/index.js';
import { startBrowser } from '../support/browser.js';
import { clientsOf, emptyWorld, portOf, secret, serve, world } from '../support/world.js';

type Operation = {
  parameters: { name: string; in: string; required?: boolean }[];
  security?: Record<string, string[]>[];
  requestBody?: { content: { 'application/json': { schema: Schema } } };
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>;
};
type Schema = { properties?: Record<string, object>; required?: string[]; $ref?: string };
type Document = {
  openapi: string;
  info: object;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; securitySchemes: Record<string, object> };
};

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

const documented = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  );

const own = ['GET /docs', 'GET /docs/:file', 'GET /openapi.json'];

const operation = ({ paths }: Document, method: string, path: string): Operation => {
  const found = paths[path]?.[method];
  if (!found) throw new Error(`${method} ${path} is not in the document`);
  return found;
};

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
    expect(document.components.securitySchemes.cookie).to.deep.include({ name: '__Host-access_token' });
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
    const ajv = new Ajv2020({ strict: false });
    addFormats.default(ajv);
    ajv.addSchema({ $id: 'document', ...document });

    let checked = 0;

    /** Holds an answer against what the document says of the status it came with. */
    const check = (method: string, path: string, answer: { status: number; body: unknown; type: string }) => {
      const { [answer.status]: exact, '2XX': said = exact } = operation(document, method, path).responses;
      if (!said) throw new Error(`${method} ${path} answers ${answer.status}, which is not in the document`);
      if (said.content === undefined) return;
      checked += 1;
      const pointer = [path, method, 'responses', String(answer.status), 'content', answer.type, 'schema'];
      const steps = pointer.map((step) =>
        encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1')),
      );
      const validate = ajv.compile({ $ref: `document#/paths/${steps.join('/')}` });
      expect(validate(answer.body), `${method} ${path}: ${JSON.stringify(validate.errors)}`).to.equal(true);
    };

    const ada = await as('ada@example.com');
    const { body: me } = await ada.get('/auth/profile').expect(200);
    await createApiKey({ ...shared, connection, userId: me.id, name: 'robot' });
    for (const path of [
      '/auth/profile',
      '/auth/sessions',
      '/auth/api-keys',
      '/auth/providers',
      '/auth/export',
      '/organizations',
      '/billing/usage',
      '/health',
      '/health/live',
      '/api/me',
      '/api/admin',
    ])
      check('get', path, await ada.get(path));
    const credentials = { email: 'ada@example.com', password: 'lovelace-1815' };
    check('post', '/auth/sign-in', await anyone().post('/auth/sign-in', credentials));
    check('post', '/auth/sign-in', await anyone().post('/auth/sign-in', { ...credentials, password: 'x' }));
    check('post', '/auth/sign-in', await anyone().post('/auth/sign-in', { email: 1 }));
    check('post', '/auth/check', await ada.post('/auth/check'));
    check('post', '/auth/api-keys', await ada.post('/auth/api-keys', { name: 'another' }));
    check('post', '/auth/totp', await ada.post('/auth/totp'));
    check('delete', '/auth/sessions', await ada.delete('/auth/sessions'));
    check('get', '/auth/sessions', await anyone().get('/auth/sessions'));
    expect(checked).to.be.greaterThan(12);
    expect(documented(document)).to.include.members([...own, 'POST /api/images', 'GET /api/reports']);
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
