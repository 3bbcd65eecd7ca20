import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import Router from '@koa/router';
import { expect } from 'chai';
import { SignJWT, UnsecuredJWT } from 'jose';
import Koa from 'koa';
import compose from 'koa-compose';
import session from 'koa-session';
import request from 'supertest';
import {
  authenticate,
  authRouter,
  createUser,
  type NewPerson,
  type OAuthOptions,
  type OAuthProvider,
  oauthRouter,
  optionsFromEnv,
  type Providers,
  problems,
  type SharedOptions,
  type User,
  userSchema,
} from '../../lib/index.js';
import { startBrowser } from '../support/browser.js';
import { type Browser, browser, locationOf } from '../support/http-browser.js';
import {
  agree,
  client,
  type Person,
  type StandIn,
  signed,
  startOidc,
  startStandIn,
} from '../support/oidc.js';
import {
  atEnd,
  countBy,
  emptyWorld,
  freePort,
  inspector,
  portOf,
  secret,
  serve,
  times,
} from '../support/world.js';

const users = () => inspector().collection('users');
const audited = async () =>
  (await inspector().collection('tollgate_audit_entries').find().toArray()).map(({ action }) => action);

const password = 'lovelace-1815';

/** Serves the routes, and GET /api/me, where `publicUrl` says; the options may need to know that first. */
async function serveOAuth(
  optionsAt: (publicUrl: string) => OAuthOptions | Promise<OAuthOptions>,
  prepare: (app: Koa) => void = () => {},
) {
  const late: { app: Koa.Middleware } = { app: async () => {} };
  const app = new Koa();
  const logged: unknown[] = [];
  app.on('error', (error) => logged.push(error));
  prepare(app);
  app.use(problems()).use((ctx, next) => late.app(ctx, next));
  const url = `http://127.0.0.1:${portOf(await serve(app))}`;
  const options = await optionsAt(url);
  const api = new Router();
  api.get('/api/me', authenticate(sharedOf(options)), (ctx) => {
    ctx.body = { user: ctx.state.user, factors: ctx.state.factors };
  });
  const routers = [authRouter(sharedOf(options)), oauthRouter(options), api];
  late.app = compose(routers.map((router) => router.routes() as Koa.Middleware));
  return { url, options, logged };
}

const sharedOf = ({ autoProvision: _, provision: __, ...shared }: OAuthOptions): SharedOptions => shared;

/** A real OpenID provider with `people`, called oidc, and the application that signs in there. */
async function oidcWorld(people: Record<string, Person>, more: Partial<OAuthOptions> = {}) {
  const { shared, connection } = await emptyWorld();
  const app = await serveOAuth(async (publicUrl) => {
    const issuer = await startOidc(people, `${publicUrl}/auth/oauth/oidc/callback`);
    return { ...shared, publicUrl, providers: { oidc: { issuer, ...client } }, ...more };
  });
  return { ...app, shared, connection, ...visitorsOf(app.url) };
}

/** A provider that answers what it is told to; as `oidc` by its discovery document. */
async function standInWorld(answers: StandIn['answers'] = {}, more: Partial<OAuthOptions> = {}) {
  const { shared, connection } = await emptyWorld();
  const standIn = await startStandIn(answers);
  const providers = { oidc: { issuer: standIn.url, ...client } };
  const app = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers, ...more }));
  return { ...app, shared, connection, standIn, ...visitorsOf(app.url) };
}

function visitorsOf(url: string) {
  const callback = `${url}/auth/oauth/oidc/callback`;
  const start = (visitor: Browser, query = '') => visitor.open(`${url}/auth/oauth/oidc${query}`);
  /** To the provider and back; the URL of the callback is given, not opened. */
  const goAndAgree = async (visitor: Browser, login: string, query = '') =>
    agree(visitor, locationOf(await start(visitor, query)), login, callback);
  const signIn = async (login: string, visitor = browser(), query = '') =>
    locationOf(await visitor.open(await goAndAgree(visitor, login, query)));
  /** The same at a stand-in, where nobody is asked anything. */
  const passBy = async (visitor = browser(), query = '') => {
    const back = await visitor.follow(locationOf(await start(visitor, query)), callback);
    return locationOf(await visitor.open(back));
  };
  return { start, goAndAgree, signIn, passBy };
}

async function me(visitor: Browser, url: string) {
  const answer = await visitor.open(`${url}/api/me`);
  const { user } = (await answer.json()) as { user?: User };
  return user ?? ({} as Partial<User>);
}

const post = (visitor: Browser, url: string, body: object = {}, headers: Record<string, string> = {}) =>
  visitor.open(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
const outcome = async (answer: Response) => {
  const { code } = (answer.status === 204 ? {} : await answer.json()) as { code?: string };
  return code ? `${answer.status} ${code}` : String(answer.status);
};

/** Lets somebody sign in by password in a new browser. */
async function byPassword(url: string, email: string) {
  const visitor = browser();
  expect((await post(visitor, `${url}/auth/sign-in`, { email, password })).status).to.equal(200);
  return visitor;
}

const ada: Person = { email: 'ada@example.com', email_verified: true, name: 'Ada' };

describe('signing in at an OpenID provider', () => {
  it('makes a user of somebody new, whose address is verified, and signs them in with both cookies', async () => {
    const { url, signIn } = await oidcWorld({ 'subject-of-ada': ada });
    const visitor = browser();

    expect(await signIn('subject-of-ada', visitor, '?returnTo=/welcome%3Ftab=1')).to.equal('/welcome?tab=1');

    expect([...visitor.jar.keys()])
      .to.include.members(['access_token', 'refresh_token'])
      .and.not.include('oauth');
    const { email, emailVerified, name, roles } = await me(visitor, url);
    expect({ email, emailVerified, name, roles }).to.deep.equal({
      email: 'ada@example.com',
      emailVerified: true,
      name: 'Ada',
      roles: ['user'],
    });
    expect(await audited()).to.deep.equal(['user.created', 'identity.linked', 'user.signed-in']);
  });

  it('has the factor oauth', async () => {
    const { url, signIn } = await oidcWorld({ ada });
    const visitor = browser();
    await signIn('ada', visitor);
    expect(await (await visitor.open(`${url}/api/me`)).json()).to.deep.include({ factors: ['oauth'] });
  });

  it('finds the same user by issuer and subject, also when the e-mail there is another, or unverified, or gone', async () => {
    const people: Record<string, Person> = { ada: { ...ada } };
    const { url, signIn } = await oidcWorld(people);
    const first = browser();
    await signIn('ada', first);
    const { id } = await me(first, url);

    for (const changed of [
      { email: 'other@example.com', email_verified: true },
      { ...ada, email_verified: false },
      {},
    ]) {
      people.ada = changed;
      const visitor = browser();
      expect(await signIn('ada', visitor)).to.equal('/');
      expect(await me(visitor, url)).to.include({ id, email: 'ada@example.com' });
    }
    expect(await users().countDocuments()).to.equal(1);
  });

  it('begins in one instance and ends in another', async () => {
    const { options, goAndAgree } = await oidcWorld({ ada });
    const other = await serveOAuth(() => options);
    const visitor = browser();

    const back = new URL(await goAndAgree(visitor, 'ada', '?returnTo=/there'));
    const answer = await visitor.open(`${other.url}${back.pathname}${back.search}`);

    expect(locationOf(answer)).to.equal('/there');
    expect(await me(visitor, other.url)).to.include({ email: 'ada@example.com' });
  });

  it('survives a change of keys between the two halves, as long as the old key is known', async () => {
    const { options, goAndAgree } = await oidcWorld({ ada });
    const fresh = 'a newer secret of more than thirty-two bytes';
    const rotated = await serveOAuth(() => ({ ...options, keys: [fresh, secret] }));
    const dropped = await serveOAuth(() => ({ ...options, keys: [fresh] }));

    const visitor = browser();
    const back = new URL(await goAndAgree(visitor, 'ada'));
    const at = (app: { url: string }) => `${app.url}${back.pathname}${back.search}`;

    expect(locationOf(await visitor.open(at(dropped)))).to.equal('/?error=state_invalid');
    expect(locationOf(await visitor.open(at(rotated)))).to.equal('/');
  });

  it('works with a client that is registered for either way to prove itself', async () => {
    for (const method of ['client_secret_basic', 'client_secret_post'] as const) {
      const { shared } = await emptyWorld();
      const { url } = await serveOAuth(async (publicUrl) => {
        const issuer = await startOidc({ ada }, `${publicUrl}/auth/oauth/oidc/callback`, method);
        return { ...shared, publicUrl, providers: { oidc: { issuer, ...client } } };
      });
      expect(await visitorsOf(url).signIn('ada'), method).to.equal('/');
    }
  });

  it('makes one user of somebody new who arrives in ten browsers at once', async () => {
    const { goAndAgree } = await oidcWorld({ ada });
    const visitors = times(10, () => browser());
    const backs = await Promise.all(visitors.map((visitor) => goAndAgree(visitor, 'ada')));

    const answers = await Promise.all(visitors.map((visitor, index) => visitor.open(backs[index] as string)));

    expect(
      countBy(
        answers.map((answer) => ({ to: locationOf(answer) })),
        'to',
      ),
    ).to.deep.equal({ '/': 10 });
    expect(await users().countDocuments()).to.equal(1);
  });

  it('goes to afterAuthUrl when the request named no place', async () => {
    const { signIn } = await oidcWorld({ ada }, { afterAuthUrl: '/app#home' });
    expect(await signIn('ada')).to.equal('/app#home');
  });

  it('leaves alone the session of an application that uses koa-session itself', async () => {
    const { shared } = await emptyWorld();
    const standIn = await startStandIn();
    const providers = { oidc: { issuer: standIn.url, ...client } };
    const { url } = await serveOAuth(
      (publicUrl) => ({ ...shared, publicUrl, providers }),
      (app) => {
        app.keys = ['the keys of the application'];
        app.use(session({ key: 'own' }, app) as Koa.Middleware);
        app.use(async (ctx, next) => {
          const own = ctx.session as { visits?: number };
          own.visits = (own.visits ?? 0) + 1;
          ctx.set('X-Visits', String(own.visits));
          await next();
        });
      },
    );
    const visitor = browser();

    expect(await visitorsOf(url).passBy(visitor)).to.equal('/');

    expect([...visitor.jar.keys()]).to.include.members(['access_token', 'own', 'own.sig']);
    expect((await visitor.open(`${url}/api/me`)).headers.get('x-visits')).to.equal('3');
  });

  it('keeps what it must remember in one cookie that scripts cannot see, nobody can read, and ten minutes end', async () => {
    const { url, start } = await oidcWorld({ ada }, { cookies: { secure: true } });
    const [cookie = ''] = (await start(browser())).headers.getSetCookie();
    const [pair, ...attributes] = cookie.toLowerCase().split('; ');

    expect(pair).to.match(/^__host-oauth=[\w.-]+$/);
    expect(attributes.filter((each) => !each.startsWith('expires'))).to.have.members([
      'path=/',
      'httponly',
      'samesite=lax',
      'secure',
    ]);
    const expires = Date.parse(attributes.find((each) => each.startsWith('expires='))?.slice(8) ?? '');
    expect(expires).to.be.closeTo(Date.now() + 600_000, 20_000);
    expect(url).to.match(/^http:/); // as behind a proxy that ends TLS
  });
});

describe('a real browser', () => {
  it('signs in at the provider, comes back signed in, and cannot go back to the callback', async function () {
    const chromium = await (await startBrowser())?.newContext();
    if (!chromium) return this.skip();
    const { url } = await oidcWorld({ ada });
    const page = await chromium.newPage();

    await page.goto(`${url}/auth/oauth/oidc?returnTo=/api/me`, { waitUntil: 'commit' });
    await page.fill('input[name=login]', 'ada');
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]', { noWaitAfter: true });
    const callback = page.waitForRequest((sent) => sent.url().includes('/callback?'));
    await page.click('button:has-text("Continue")', { noWaitAfter: true });
    const used = (await callback).url();
    await page.waitForURL(`${url}/api/me`);

    expect(await page.textContent('body')).to.include('"email":"ada@example.com"');
    const cookies = await chromium.cookies(url);
    expect(cookies.map(({ name }) => name))
      .to.include('access_token')
      .and.not.include('oauth');
    for (const { name, httpOnly, sameSite } of cookies.filter((each) => !each.name.startsWith('_')))
      expect([httpOnly, sameSite], name).to.deep.equal([true, 'Lax']);
    const answer = await page.goto(used);
    expect(answer?.url()).to.equal(`${url}/?error=state_invalid`);
  });
});

describe('what a sign-in elsewhere begins with', () => {
  it('always has state, nonce, PKCE, and the redirect_uri of publicUrl, whatever host the request names', async () => {
    const { url, options } = await oidcWorld({ ada });
    const poison = { Host: 'evil.example', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'https' };
    const { status, headers } = await request(url).get('/auth/oauth/oidc').set(poison);

    expect(status).to.equal(302);
    const { origin, searchParams } = new URL(headers.location as string);
    expect(options.providers?.oidc).to.include({ issuer: origin });
    expect(searchParams.get('redirect_uri')).to.equal(`${url}/auth/oauth/oidc/callback`);
    expect(searchParams.get('code_challenge_method')).to.equal('S256');
    expect(searchParams.get('response_type')).to.equal('code');
    expect(searchParams.get('scope')).to.equal('openid email profile');
    for (const random of ['state', 'nonce', 'code_challenge'])
      expect(searchParams.get(random), random).to.have.length.above(39);
    expect(headers['cache-control']).to.equal('no-store');
  });

  it('is overridden by nothing in the request', async () => {
    const { url } = await oidcWorld({ ada });
    for (const parameter of [
      'scope',
      'redirect_uri',
      'authorize_url',
      'client_id',
      'state',
      'nonce',
      'dynamic[scope]',
    ]) {
      const answer = await fetch(`${url}/auth/oauth/oidc?${parameter}=evil`, { redirect: 'manual' });
      expect(await outcome(answer), parameter).to.equal('400 validation_failed');
    }
    for (const path of [
      '/auth/oauth/oidc/evil',
      '/auth/oauth/defaults',
      '/auth/oauth/__proto__',
      '/auth/oauth/constructor',
    ])
      expect(await outcome(await fetch(url + path, { redirect: 'manual' })), path).to.equal('404 not_found');
    expect(await outcome(await post(browser(), `${url}/auth/oauth/oidc`, { scope: 'evil' }))).to.match(
      /^40[45] /,
    );
  });

  it('may return to a path of our own', async () => {
    const { passBy } = await standInWorld();
    for (const back of ['/', '/a/b?c=d#e', '/..//evil', '/%5Cevil', '/a:b@c'])
      expect(await passBy(browser(), `?${new URLSearchParams({ returnTo: back })}`)).to.equal(back);
  });

  it('may return to our own origin and to allowed ones', async () => {
    const allowed = 'https://app.example.com';
    const { url, passBy } = await standInWorld({}, { allowedOrigins: [allowed] });
    for (const back of [url, `${url}/x`, allowed, `${allowed}/y?z=1`, `${allowed}#top`]) {
      const to = await passBy(browser(), `?${new URLSearchParams({ returnTo: back })}`);
      expect(to).to.equal(new URL(back).href);
    }
  });

  it('may return nowhere else', async () => {
    const { start } = await standInWorld({}, { allowedOrigins: ['https://app.example.com'] });
    for (const back of [
      '//evil',
      '/\\evil',
      '\\\\evil',
      '///evil',
      '/\t/evil',
      '/\n/evil',
      ' /x',
      'evil',
      '',
      'https://evil.example',
      'https://app.example.com@evil',
      'https://app.example.com.evil',
      'https://app.example.com:444',
      'http://app.example.com',
      'HTTPS://APP.EXAMPLE.COM/',
      'https:app.example.com',
      'https:/app.example.com',
      'javascript:alert(1)',
      'data:text/html,x',
      'https://user@app.example.com/',
      '/\u0000',
      `/${'x'.repeat(1_000)}`,
    ]) {
      // biome-ignore format: a list
      const answer = await start(browser(), `?${new URLSearchParams({ returnTo: back })}`);
      const { code, errors } = (await answer.json()) as { code: string; errors: { path: string }[] };
      expect([answer.status, code, errors[0]?.path], back).to.deep.equal([
        400,
        'validation_failed',
        'returnTo',
      ]);
    }
  });

  it('takes one place to return to, not a list of them', async () => {
    const { start } = await standInWorld();
    expect(await outcome(await start(browser(), '?returnTo=/a&returnTo=//evil'))).to.equal(
      '400 validation_failed',
    );
  });
});

describe('the state of a sign-in elsewhere', () => {
  const refused = '/there?error=state_invalid';
  const begin = '?returnTo=/there';

  it('is good once: a replay fails in the same browser and in any instance', async () => {
    const { url, options, goAndAgree } = await oidcWorld({ ada });
    const other = await serveOAuth(() => options);
    const visitor = browser();
    const back = await goAndAgree(visitor, 'ada', begin);
    const { pathname, search } = new URL(back);
    const cookie = visitor.jar.get('oauth') as string;

    expect(locationOf(await visitor.open(back))).to.equal('/there');
    expect(visitor.jar.has('oauth')).to.equal(false);
    expect(locationOf(await visitor.open(back))).to.equal('/?error=state_invalid');

    const replays = await Promise.all(
      [url, other.url].map((instance) => {
        const thief = browser();
        thief.jar.set('oauth', cookie);
        return thief.open(instance + pathname + search);
      }),
    );
    expect(replays.map(locationOf)).to.deep.equal([refused, refused]);
    expect(await inspector().collection('tollgate_sessions').countDocuments()).to.equal(1);
  });

  it('lets one of twenty simultaneous uses through', async () => {
    const { goAndAgree } = await oidcWorld({ ada });
    const visitor = browser();
    const back = await goAndAgree(visitor, 'ada', begin);
    const cookie = visitor.jar.get('oauth') as string;

    const answers = await Promise.all(
      times(20, () => fetch(back, { headers: { cookie: `oauth=${cookie}` }, redirect: 'manual' })),
    );

    const ends = countBy(
      answers.map((answer) => ({ to: locationOf(answer) })),
      'to',
    );
    expect(ends).to.deep.equal({ '/there': 1, [refused]: 19 });
    expect(await inspector().collection('tollgate_sessions').countDocuments()).to.equal(1);
  });

  it('counts only in the browser that it was made for', async () => {
    const { url, goAndAgree } = await oidcWorld({ ada });
    const [mine, another, none] = [browser(), browser(), browser()];
    await goAndAgree(another, 'ada');
    const back = await goAndAgree(mine, 'ada', begin);

    expect(locationOf(await another.open(back))).to.equal('/?error=state_invalid');
    expect(locationOf(await none.open(back))).to.equal('/?error=state_invalid');
    expect(await me(another, url)).to.deep.equal({});
    expect(locationOf(await mine.open(back))).to.equal('/there');
  });

  it('must be there, be a text, and be of the same provider', async () => {
    const { goAndAgree } = await oidcWorld({ ada });
    const visitor = browser();
    const back = new URL(await goAndAgree(visitor, 'ada', begin));
    const changed = (change: (query: URLSearchParams) => void) => {
      const copy = new URL(back);
      change(copy.searchParams);
      return copy.href;
    };
    for (const attempt of [
      changed((query) => query.delete('state')),
      changed((query) => query.set('state', '')),
      changed((query) => query.set('state', 'f'.repeat(40))),
      changed((query) => query.append('state', query.get('state') as string)),
      changed((query) => query.delete('code')).replace('state=', 'state[$ne]='),
    ])
      expect(locationOf(await visitor.open(attempt)), attempt).to.equal('/?error=state_invalid');
    expect(locationOf(await visitor.open(back.href))).to.equal('/there');
  });

  it('is of one provider: the callback of another does not take it', async () => {
    const { shared } = await emptyWorld();
    const [one, two] = [await startStandIn(), await startStandIn()];
    const providers = { one: { issuer: one.url, ...client }, two: { issuer: two.url, ...client } };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers }));
    const visitor = browser();
    const back = await visitor.follow(`${url}/auth/oauth/one`, `${url}/auth/oauth/one/callback`);

    const answer = await visitor.open(back.replace('/one/', '/two/'));

    expect(locationOf(answer)).to.equal('/?error=state_invalid');
    expect([...one.sent, ...two.sent]).to.have.length(0);
  });

  it('is worth nothing when its cookie was made up, changed or made by other keys', async () => {
    const { goAndAgree } = await oidcWorld({ ada });
    const visitor = browser();
    const back = await goAndAgree(visitor, 'ada');
    const cookie = visitor.jar.get('oauth') as string;
    const [, state = ''] = /state=(\w+)/.exec(back) ?? [];
    const plain = Buffer.from(JSON.stringify({ provider: 'oidc', secrets: { state } })).toString('base64');
    const flipped = cookie.slice(0, -5) + (cookie.at(-5) === 'A' ? 'B' : 'A') + cookie.slice(-4);
    for (const forged of [plain, flipped, cookie.slice(0, -8), `x.${cookie.split('.')[1]}`, 'x', '.', '']) {
      visitor.jar.set('oauth', forged);
      expect(locationOf(await visitor.open(back)), forged).to.equal('/?error=state_invalid');
    }
  });

  it('does not let a code through that an error stands in for', async () => {
    const { goAndAgree, url } = await oidcWorld({ ada });
    const visitor = browser();
    const back = new URL(await goAndAgree(visitor, 'ada', begin));
    back.searchParams.delete('code');
    back.searchParams.set('access_token', 'stolen elsewhere');
    back.searchParams.set('id_token', 'a.b.c');

    expect(locationOf(await visitor.open(back.href))).to.equal('/there?error=provider_failed');
    expect(await me(visitor, url)).to.deep.equal({});
  });
});

describe('whose account a sign-in elsewhere opens', () => {
  it("is nobody's when the provider's e-mail is not verified, or missing, though a local user has it", async () => {
    const { signIn, shared } = await oidcWorld({
      unverified: { email: 'ada@example.com', email_verified: false },
      unsaid: { email: 'ada@example.com' },
      otherwise: { email: 'ada@example.com', email_verified: 'yes' as unknown as boolean },
      missing: { name: 'Ada' },
      malformed: { email: 'ada', email_verified: true },
    });
    await createUser({ ...shared, email: 'ada@example.com', emailVerified: true });
    for (const login of ['unverified', 'unsaid', 'otherwise', 'missing', 'malformed']) {
      const visitor = browser();
      const to = await signIn(login, visitor, '?returnTo=/in%23top');
      expect(to, login).to.equal('/in?error=email_unverified#top');
      expect(visitor.jar.has('access_token')).to.equal(false);
    }
    expect(await users().countDocuments({ identities: { $exists: true } })).to.equal(0);
  });

  it('is never that of a verified user who has not linked it', async () => {
    const { signIn, shared } = await oidcWorld({ ada });
    await createUser({ ...shared, email: 'ada@example.com', emailVerified: true });
    const visitor = browser();

    expect(await signIn('ada', visitor)).to.equal('/?error=account_exists');

    expect(visitor.jar.has('access_token')).to.equal(false);
    expect(await users().countDocuments({ identities: { $exists: true } })).to.equal(0);
  });

  it('is that of an unverified user by first proof, of whose password, identities and sessions nothing stays', async () => {
    const { url, signIn, shared } = await oidcWorld({ ada }, { emailVerification: false });
    const email = 'ada@example.com';
    const squatted = await createUser({ ...shared, email, password });
    const theirs = {
      provider: 'oidc',
      issuer: 'https://squatter.example',
      subject: 's',
      linkedAt: new Date(),
    };
    await users().updateOne({ email }, { $set: { identities: [theirs] } });
    const squatter = await byPassword(url, email);
    const visitor = browser();

    expect(await signIn('ada', visitor)).to.equal('/');

    expect(await me(visitor, url)).to.include({ id: squatted.id, emailVerified: true });
    expect(await me(squatter, url)).to.deep.equal({});
    expect(await outcome(await post(browser(), `${url}/auth/sign-in`, { email, password }))).to.equal(
      '401 credentials_invalid',
    );
    const stored = await users().findOne({ email });
    expect(stored?.password).to.equal(null);
    expect(stored?.identities.map(({ subject }: { subject: string }) => subject)).to.deep.equal(['ada']);
    expect(await audited()).to.include.members(['session.revoked', 'identity.linked']);
  });

  it('is another one when the same subject comes from another issuer', async () => {
    const { shared } = await emptyWorld();
    const [one, two] = [await startStandIn(), await startStandIn()];
    two.answers = { idToken: (claims) => signed({ ...claims, email: 'other@example.com' }) };
    const providers = { one: { issuer: one.url, ...client }, two: { issuer: two.url, ...client } };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers }));
    const ids = [];
    for (const name of ['one', 'two']) {
      const visitor = browser();
      const back = await visitor.follow(`${url}/auth/oauth/${name}`, `${url}/auth/oauth/${name}/callback`);
      await visitor.open(back);
      ids.push((await me(visitor, url)).id);
    }
    expect(new Set(ids).size).to.equal(2);
  });

  it('is nobody new where autoProvision is off, but still that of whoever has linked it', async () => {
    const { url, options, signIn } = await oidcWorld({ ada, bob: { ...ada, email: 'bob@example.com' } });
    await signIn('ada');
    const closed = await serveOAuth(() => ({ ...options, autoProvision: false }));
    const visit = async (login: string) => {
      const visitor = browser();
      const at = locationOf(await visitor.open(`${closed.url}/auth/oauth/oidc`));
      const back = await agree(visitor, at, login, `${url}/auth/oauth/oidc/callback`);
      return locationOf(await visitor.open(back.replace(url, closed.url)));
    };
    expect(await visit('bob')).to.equal('/?error=access_denied');
    expect(await visit('ada')).to.equal('/');
    expect(await users().countDocuments()).to.equal(1);
  });

  it('stays shut when its user is deactivated', async () => {
    const { signIn } = await oidcWorld({ ada });
    await signIn('ada');
    await users().updateMany({}, { $set: { status: 'inactive' } });
    const visitor = browser();

    expect(await signIn('ada', visitor)).to.equal('/?error=access_denied');
    expect(visitor.jar.has('access_token')).to.equal(false);
  });

  it('waits for the second factor of a user who has one', async () => {
    const { signIn, url } = await oidcWorld({ ada });
    await signIn('ada');
    const totp = { keyId: 'k', secret: 's', confirmedAt: new Date(), lastStep: 0, recoveryCodes: [] };
    await users().updateMany({}, { $set: { totp } });
    const visitor = browser();

    const to = new URL(await signIn('ada', visitor, '?returnTo=/in'), url);

    expect(to.pathname).to.equal('/in');
    expect(to.search).to.equal('?error=second_factor_required');
    const challenge = new URLSearchParams(to.hash.slice(1)).get('challenge'); // no server is sent it
    expect(challenge).to.match(/^[0-9a-f]{24}\./);
    expect(visitor.jar.has('access_token')).to.equal(false);
    const elsewhere = new URL(await signIn('ada', browser(), '?returnTo=/in%23top'), url);
    expect(elsewhere.hash).to.match(/^#challenge=[0-9a-f]{24}\./);
    const body = { challenge, code: '000000' };
    expect(await outcome(await post(visitor, `${url}/auth/second-factor`, body))).to.not.equal(
      '400 token_used',
    );
  });
});

describe('a provider that is not to be trusted', () => {
  const now = () => Math.floor(Date.now() / 1000);

  it('signs in whoever its genuine id_token names', async () => {
    const { url, passBy, standIn } = await standInWorld();
    const visitor = browser();
    expect(await passBy(visitor)).to.equal('/');
    expect(await me(visitor, url)).to.include({ email: 'grace@example.com' });
    expect(standIn.sent[0]?.get('code_verifier')).to.have.length.above(42);
  });

  const forgeries: Record<string, StandIn['answers']> = {
    'signed by another key': { idToken: (claims) => signed(claims, 'forged') },
    unsigned: { idToken: async (claims) => new UnsecuredJWT(claims).encode() },
    'signed with the client secret': {
      idToken: (claims) =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256', kid: 'one' })
          .sign(Buffer.from(client.clientSecret)),
    },
    'of another issuer': { idToken: (claims) => signed({ ...claims, iss: 'https://accounts.google.com' }) },
    'for another client': { idToken: (claims) => signed({ ...claims, aud: 'somebody else' }) },
    'for several clients, none of them named': {
      idToken: (claims) => signed({ ...claims, aud: [client.clientId, 'somebody else'] }),
    },
    'for another party': { idToken: (claims) => signed({ ...claims, azp: 'somebody else' }) },
    'of another handshake': { idToken: (claims) => signed({ ...claims, nonce: 'another' }) },
    'without a nonce': { idToken: ({ nonce: _, ...claims }) => signed(claims) },
    'without an expiry': { idToken: ({ exp: _, ...claims }) => signed(claims) },
    expired: { idToken: (claims) => signed({ ...claims, iat: now() - 900, exp: now() - 600 }) },
    'not yet valid': { idToken: (claims) => signed({ ...claims, nbf: now() + 600 }) },
    'without a subject': { idToken: ({ sub: _, ...claims }) => signed(claims) },
    'of a subject that is no text': {
      idToken: (claims) => signed({ ...claims, sub: { $ne: '' } as unknown as string }),
    },
    'no token at all': { idToken: async () => 'rubbish' },
    missing: { idToken: null },
  };
  it('signs nobody in by an id_token that is not genuine', async () => {
    const { passBy, standIn, logged } = await standInWorld();
    for (const [what, answers] of Object.entries(forgeries)) {
      standIn.answers = answers;
      const visitor = browser();
      expect(await passBy(visitor, '?returnTo=/in'), what).to.equal('/in?error=provider_failed');
      expect(visitor.jar.has('access_token'), what).to.equal(false);
    }
    expect(await users().countDocuments()).to.equal(0);
    expect(logged).to.have.length(Object.keys(forgeries).length); // the page is not told why, the log is
  });

  it('signs nobody in by a profile that is of another subject than the id_token', async () => {
    const profile = { sub: 'somebody else', email: 'ada@example.com', email_verified: true };
    const { passBy } = await standInWorld({ profile, idToken: ({ email: _, ...claims }) => signed(claims) });
    expect(await passBy()).to.equal('/?error=provider_failed');
  });

  it('fails as itself, whatever its token endpoint answers', async () => {
    const { passBy, standIn } = await standInWorld();
    for (const token of [
      { status: 500, body: {} },
      { status: 200, body: {} },
      { status: 400, body: { error: 'invalid_grant' } },
      { status: 401, body: { error: 'invalid_client' } },
      { status: 200, body: { error: 'bad_verification_code' } },
      { status: 200, body: { access_token: { $ne: '' }, id_token: ['x'] } },
    ]) {
      standIn.answers = { token };
      expect(await passBy(), JSON.stringify(token)).to.equal('/?error=provider_failed');
    }
  });

  it('may refuse: whoever does not consent comes back with access_denied, anything else is its failure', async () => {
    const { url, start } = await standInWorld();
    for (const [said, told] of [
      ['access_denied', 'access_denied'],
      ['server_error', 'provider_failed'],
      ['<script>', 'provider_failed'],
    ]) {
      const visitor = browser();
      const state =
        new URL(locationOf(await start(visitor, '?returnTo=/in'))).searchParams.get('state') ?? '';
      const query = new URLSearchParams({ error: said as string, error_description: 'x', state });
      const answer = await visitor.open(`${url}/auth/oauth/oidc/callback?${query}`);
      expect(locationOf(answer)).to.equal(`/in?error=${told}`);
    }
    const answer = await browser().open(`${url}/auth/oauth/oidc/callback?error=access_denied`);
    expect(locationOf(answer)).to.equal('/?error=state_invalid');
  });

  it('is refused when the answer names another issuer (RFC 9207)', async () => {
    const { url, start, standIn } = await standInWorld();
    const visitor = browser();
    const callback = `${url}/auth/oauth/oidc/callback`;
    const back = await visitor.follow(locationOf(await start(visitor)), callback);
    expect(locationOf(await visitor.open(`${back}&iss=https://evil.example`))).to.equal(
      '/?error=provider_failed',
    );
    expect(standIn.sent).to.have.length(0);
  });

  it('is refused when the answer names no issuer, though it says that its answers do', async () => {
    const { passBy } = await standInWorld({
      discovery: { authorization_response_iss_parameter_supported: true },
    });
    expect(await passBy()).to.equal('/?error=provider_failed');
    expect(await users().countDocuments()).to.equal(0);
  });

  it('is believed about an id_token for several clients that names ours as the party', async () => {
    const azp = client.clientId;
    const { passBy } = await standInWorld({
      idToken: (claims) => signed({ ...claims, azp, aud: [azp, 'somebody else'] }),
    });
    expect(await passBy()).to.equal('/');
  });

  it('does not write into the log what it likes', async () => {
    const { url, start, logged } = await standInWorld();
    const visitor = browser();
    const state = new URL(locationOf(await start(visitor))).searchParams.get('state') ?? '';
    const query = new URLSearchParams({ error: `x\nadmin signed in${'!'.repeat(1_000)}`, state });
    await visitor.open(`${url}/auth/oauth/oidc/callback?${query}`);
    const [{ cause }] = logged as [{ cause: string }];
    expect(cause).to.match(/^no code from oidc: "x\\nadmin signed in!{1,100}"$/);
  });

  it('that answers without end is read no further than a profile may be long', async () => {
    const { shared } = await emptyWorld();
    const standIn = await startStandIn({ idToken: null });
    const sent = { bytes: 0 };
    function* flood() {
      for (;;) {
        sent.bytes += 65_536;
        yield Buffer.alloc(65_536, ' ');
      }
    }
    const endless = createServer((_, response) => void Readable.from(flood()).pipe(response));
    await once(endless.listen(0, '127.0.0.1'), 'listening');
    atEnd(async () => {
      endless.close();
      endless.closeAllConnections();
    });
    const [authorizeUrl, tokenUrl] = ['authorize', 'token'].map((path) => `${standIn.url}/${path}`);
    const profileUrl = `http://127.0.0.1:${portOf(endless)}/`;
    const providers = { oidc: { ...client, authorizeUrl, tokenUrl, profileUrl } };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers }));
    expect(await visitorsOf(url).passBy()).to.equal('/?error=provider_failed');
    expect(sent.bytes).to.be.below(20_000_000); // what the sockets hold
  });

  it('is not made to work by one address more often than credentialRate says', async () => {
    const { url, start, standIn } = await standInWorld(
      { token: { status: 400, body: { error: 'invalid_grant' } } },
      { credentialRate: '3/minute' },
    );
    const attempt = async () => {
      const visitor = browser();
      const state = new URL(locationOf(await start(visitor))).searchParams.get('state') ?? '';
      return visitor.open(`${url}/auth/oauth/oidc/callback?code=made-up&state=${state}`);
    };
    for (let index = 0; index < 3; index += 1)
      expect(locationOf(await attempt())).to.equal('/?error=provider_failed');
    const refused = await attempt();
    expect(refused.headers.get('retry-after')).to.match(/^\d+$/);
    expect(await outcome(refused)).to.equal('429 rate_limited');
    expect(standIn.sent).to.have.length(3);
  });

  it('that cannot be reached, or is another than it says, fails at the start and is asked again the next time', async () => {
    const { shared } = await emptyWorld();
    const standIn = await startStandIn();
    const providers = {
      gone: { issuer: `http://127.0.0.1:${await freePort()}`, ...client },
      other: { issuer: `${standIn.url}/`, ...client },
    };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers }));
    for (const name of ['gone', 'gone', 'other']) {
      const answer = await browser().open(`${url}/auth/oauth/${name}?returnTo=/in`);
      expect(locationOf(answer)).to.equal('/in?error=provider_failed');
    }
  });

  it('that never answers is given up on', async () => {
    const { passBy, standIn } = await standInWorld();
    standIn.answers = { idToken: () => new Promise(() => {}) };
    const began = performance.now();
    expect(await passBy()).to.equal('/?error=provider_failed');
    expect(performance.now() - began).to.be.below(15_000);
  });
});

describe('signing in at Google and at GitHub', () => {
  it('takes who Google says that somebody is, where another server stands in for it', async () => {
    const { shared } = await emptyWorld();
    const profile = { sub: '1001', email: 'Grace@Example.com', email_verified: true, name: 'Grace Hopper' };
    const standIn = await startStandIn({ profile });
    const google = {
      ...client,
      authorizeUrl: `${standIn.url}/authorize`,
      tokenUrl: `${standIn.url}/token`,
      profileUrl: `${standIn.url}/profile`,
    };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers: { google } }));
    const visitor = browser();
    const back = await visitor.follow(`${url}/auth/oauth/google`, `${url}/auth/oauth/google/callback`);

    expect(locationOf(await visitor.open(back))).to.equal('/');

    expect(await me(visitor, url)).to.include({ email: 'grace@example.com', name: 'Grace Hopper' });
    const stored = await users().findOne({ email: 'grace@example.com' });
    expect(stored?.identities[0]).to.include({ provider: 'google', issuer: standIn.url, subject: '1001' });
  });

  it('is two providers where two are named by URLs of one server, such as two realms', async () => {
    const { shared } = await emptyWorld();
    const standIn = await startStandIn({ idToken: null });
    const realm = (name: string) => ({
      ...client,
      authorizeUrl: `${standIn.url}/authorize`,
      tokenUrl: `${standIn.url}/token?realm=${name}`,
      profileUrl: `${standIn.url}/profile`,
    });
    const providers = { staff: realm('staff'), guests: realm('guests') };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers }));
    for (const name of ['staff', 'guests']) {
      const profile = { sub: '1', email: `${name}@example.com`, email_verified: true };
      standIn.answers = { idToken: null, profile };
      const visitor = browser();
      const back = await visitor.follow(`${url}/auth/oauth/${name}`, `${url}/auth/oauth/${name}/callback`);
      expect(locationOf(await visitor.open(back))).to.equal('/');
      expect(await me(visitor, url)).to.include({ email: `${name}@example.com` });
    }
  });

  it('asks the real Google and the real GitHub where nothing else is said', async () => {
    const { shared } = await emptyWorld();
    const providers = { github: client };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers }));
    const to = new URL(locationOf(await browser().open(`${url}/auth/oauth/github`)));
    expect(to.origin + to.pathname).to.equal('https://github.com/login/oauth/authorize');
    expect(to.searchParams.get('scope')).to.equal('read:user user:email');
    expect(to.searchParams.get('code_challenge')).to.have.length(43);
  });

  it('takes the primary address that GitHub has verified, and no other', async () => {
    const { shared } = await emptyWorld();
    const standIn = await startStandIn({ idToken: null });
    const [authorizeUrl, tokenUrl, profileUrl, emailsUrl] = ['authorize', 'token', 'profile', 'emails'].map(
      (path) => `${standIn.url}/${path}`,
    );
    const github = { ...client, authorizeUrl, tokenUrl, profileUrl, emailsUrl };
    const { url } = await serveOAuth((publicUrl) => ({ ...shared, publicUrl, providers: { github } }));
    const visit = async (id: number, emails: object) => {
      standIn.answers = {
        idToken: null,
        profile: { id, login: 'grace', name: 'Grace', email: 'public@example.com' },
        emails,
      };
      const visitor = browser();
      const back = await visitor.follow(`${url}/auth/oauth/github`, `${url}/auth/oauth/github/callback`);
      const to = locationOf(await visitor.open(back));
      return to === '/' ? (await me(visitor, url)).email : to;
    };
    const work = { email: 'work@example.com', primary: false, verified: true };

    const refused = '/?error=email_unverified';
    expect(await visit(1, [work, { email: 'grace@example.com', primary: true, verified: false }])).to.equal(
      refused,
    );
    expect(await visit(1, [work])).to.equal(refused);
    expect(await visit(1, { message: 'no list' })).to.equal(refused);
    expect(await visit(1, [work, { email: 'grace@example.com', primary: true, verified: true }])).to.equal(
      'grace@example.com',
    );
    expect(await visit(1, [])).to.equal('grace@example.com');
    expect(await visit(2, [{ email: 'grace@example.com', primary: true, verified: true }])).to.equal(
      '/?error=account_exists',
    );
  });
});

describe('linked accounts', () => {
  const email = 'ada@example.com';
  const elsewhere: Person = { email: 'ada@elsewhere.example', email_verified: false };

  /** Ada, who has a password, and an account at the provider that has nothing to do with her address. */
  async function adasWorld() {
    const found = await oidcWorld({ ada: elsewhere, eve: elsewhere }, { strict: true });
    const user = await createUser({ ...found.shared, email, password, emailVerified: true });
    const visitor = await byPassword(found.url, email);
    const { url } = found;
    const begin = (body: object = {}, who = visitor) => post(who, `${url}/auth/providers/oidc`, body);
    /** Up to the callback, which is not opened. */
    const back = async (login = 'ada', who = visitor) => {
      const { url: to } = (await (await begin({ returnTo: '/settings' }, who)).json()) as { url: string };
      return agree(who, to, login, `${url}/auth/oauth/oidc/callback`);
    };
    const list = async (who = visitor) => {
      const { items } = (await (await who.open(`${url}/auth/providers`)).json()) as { items: object[] };
      return items;
    };
    const unlink = async (who = visitor) =>
      outcome(await who.open(`${url}/auth/providers/oidc`, { method: 'DELETE' }));
    const { oidc } = found.options.providers as Record<string, OAuthProvider>;
    const issuer = oidc?.issuer ?? '';
    return { ...found, issuer, user, visitor, begin, back, list, unlink };
  }

  it('are added by whoever is signed in, listed, and a way to sign in from then on, whatever the e-mail there', async () => {
    const { url, user, visitor, back, list, signIn } = await adasWorld();
    expect(await list()).to.deep.equal([]);

    expect(locationOf(await visitor.open(await back()))).to.equal('/settings');

    const [linked] = (await list()) as { provider: string; email: string; linkedAt: string }[];
    expect(linked)
      .to.include({ provider: 'oidc', email: 'ada@elsewhere.example' })
      .and.have.all.keys('provider', 'email', 'linkedAt');
    expect(Date.parse(linked?.linkedAt ?? '')).to.be.closeTo(Date.now(), 20_000);
    const elsewhere = browser();
    expect(await signIn('ada', elsewhere)).to.equal('/');
    expect(await me(elsewhere, url)).to.include({ id: user.id, email });
    expect(await audited()).to.include('identity.linked');
  });

  it('are named with the providers that there are', async () => {
    const { url, visitor } = await adasWorld();
    const answer = await (await visitor.open(`${url}/auth/providers`)).json();
    expect(answer).to.deep.equal({ items: [], nextCursor: null, available: ['oidc'] });
  });

  it('may be linked again, and then nothing changes', async () => {
    const { visitor, back, list } = await adasWorld();
    for (let round = 0; round < 2; round += 1)
      expect(locationOf(await visitor.open(await back()))).to.equal('/settings');
    expect(await list()).to.have.length(1);
  });

  it('are one of each provider', async () => {
    const { url, visitor, back, list } = await adasWorld();
    await visitor.open(await back());
    await visitor.open(`${url}/`); // the provider remembers ada in this browser
    for (const name of [...visitor.jar.keys()].filter((each) => each.startsWith('_session')))
      visitor.jar.delete(name);
    expect(locationOf(await visitor.open(await back('eve')))).to.equal('/settings?error=account_exists');
    expect(await list()).to.have.length(1);
  });

  it("are one user's: another cannot link the same", async () => {
    const { url, shared, visitor, back, list } = await adasWorld();
    await visitor.open(await back());
    await createUser({ ...shared, email: 'bob@example.com', password, emailVerified: true });
    const bob = await byPassword(url, 'bob@example.com');

    expect(locationOf(await bob.open(await back('ada', bob)))).to.equal('/settings?error=account_exists');
    expect(await list(bob)).to.deep.equal([]);
  });

  it('go to one of two users who link the same at once', async () => {
    const { url, shared, visitor, back, list } = await adasWorld();
    await createUser({ ...shared, email: 'bob@example.com', password, emailVerified: true });
    const bob = await byPassword(url, 'bob@example.com');
    const backs = [await back('ada', visitor), await back('ada', bob)];

    const answers = await Promise.all([visitor.open(backs[0] as string), bob.open(backs[1] as string)]);

    expect(answers.map(locationOf).sort()).to.deep.equal(['/settings', '/settings?error=account_exists']);
    expect([...(await list(visitor)), ...(await list(bob))]).to.have.length(1);
  });

  it('are not added when the session that asked has ended meanwhile, or the browser is in another', async () => {
    const { url, shared, back, list } = await adasWorld();
    const invalid = '/settings?error=state_invalid';
    const signedOut = await byPassword(url, email);
    const late = await back('ada', signedOut);
    await post(signedOut, `${url}/auth/sign-out`);
    expect(locationOf(await signedOut.open(late))).to.equal(invalid);

    await createUser({ ...shared, email: 'bob@example.com', password, emailVerified: true });
    const shifted = await byPassword(url, email);
    const stale = await back('ada', shifted);
    await post(shifted, `${url}/auth/sign-in`, { email: 'bob@example.com', password });
    expect(locationOf(await shifted.open(stale))).to.equal(invalid);

    expect(await list()).to.deep.equal([]);
  });

  it('are not added after a reset of the password, which ends the session that asked', async () => {
    const { visitor, back, user } = await adasWorld();
    const late = await back();
    await users().updateOne({ email }, { $inc: { credentialEpoch: 1 } });
    expect(locationOf(await visitor.open(late))).to.match(/error=/);
    expect((await users().findOne({ email }))?.identities).to.equal(undefined);
    expect(user.email).to.equal(email);
  });

  it('want a session of our own page, and a recent sign-in', async () => {
    const { url, visitor, begin, unlink } = await adasWorld();
    expect(await outcome(await begin({}, browser()))).to.equal('401 token_missing');
    expect(await outcome(await browser().open(`${url}/auth/providers`))).to.equal('401 token_missing');
    const evil = { origin: 'https://evil.example' };
    expect(await outcome(await post(visitor, `${url}/auth/providers/oidc`, {}, evil))).to.equal(
      '403 cross_origin',
    );
    expect(await outcome(await begin({ returnTo: '//evil' }))).to.equal('400 validation_failed');
    expect(await outcome(await begin({ returnTo: { $ne: '' } }))).to.equal('400 validation_failed');
    expect(await outcome(await post(visitor, `${url}/auth/providers/nowhere`))).to.equal('404 not_found');

    const hourAgo = new Date(Date.now() - 3_600_000);
    await inspector()
      .collection('tollgate_sessions')
      .updateMany({}, { $set: { authenticatedAt: hourAgo } });
    expect(await outcome(await begin())).to.equal('401 reauthentication_required');
    expect(await unlink()).to.equal('401 reauthentication_required');
  });

  it('are taken away again, which ends the other sessions, and are no way in from then on', async () => {
    const { url, visitor, back, list, unlink, signIn } = await adasWorld();
    await visitor.open(await back());
    const elsewhere = browser();
    await signIn('ada', elsewhere);

    expect(await unlink()).to.equal('204');

    expect(await list()).to.deep.equal([]);
    expect(await me(elsewhere, url)).to.deep.equal({});
    expect(await me(visitor, url)).to.include({ email });
    expect(await signIn('ada')).to.equal('/?error=email_unverified');
    expect(await unlink()).to.equal('404 not_found');
    expect(await audited()).to.include('identity.unlinked');
  });

  it('stay when they are the last way to sign in', async () => {
    const { url, signIn, unlink, list, issuer } = await adasWorld();
    await users().deleteMany({});
    await users().insertOne(stored([linked('oidc', issuer)]));
    const visitor = browser();
    expect(await signIn('ada', visitor)).to.equal('/');

    expect(await unlink(visitor)).to.equal('409 last_credential');

    expect(await list(visitor)).to.have.length(1);
    await users().updateMany(
      {},
      { $set: { passkeys: [{ id: 'p', publicKey: 'k', counter: 0, createdAt: new Date() }] } },
    );
    expect(await unlink(visitor)).to.equal('204');
    expect(await me(visitor, url)).to.include({ email });
  });

  it('stay when they are two of one provider, which would go together', async () => {
    const { signIn, unlink, list, issuer } = await adasWorld();
    await users().deleteMany({});
    await users().insertOne(stored([linked('oidc', issuer), linked('oidc', 'https://moved.example')]));
    const visitor = browser();
    await signIn('ada', visitor);

    expect(await unlink(visitor)).to.equal('409 last_credential');

    expect(await list(visitor)).to.have.length(2);
  });

  it('leave one when the only two are taken away at the same time', async () => {
    const { url, signIn, issuer } = await adasWorld();
    await users().deleteMany({});
    await users().insertOne(
      stored([linked('oidc', issuer), linked('google', 'https://accounts.google.com')]),
    );
    const visitor = browser();
    await signIn('ada', visitor);

    const answers = await Promise.all(
      ['oidc', 'google', 'oidc', 'google'].map((name) =>
        visitor.open(`${url}/auth/providers/${name}`, { method: 'DELETE' }),
      ),
    );

    expect(countBy(answers, 'status')[204]).to.equal(1);
    expect((await users().findOne({ email }))?.identities).to.have.length(1);
  });

  /** As they are stored, of a user who has nothing else to sign in by. */
  const linked = (provider: string, issuer: string) => ({
    provider,
    issuer,
    subject: 'ada',
    linkedAt: new Date(),
  });
  const stored = (identities: object[]) => ({
    email,
    emailVerified: true,
    roles: ['user'],
    status: 'active',
    credentialEpoch: 0,
    identities,
  });
});

describe('a sign-in elsewhere', () => {
  it('makes a user with the own fields that the application gives, and without those it requires none', async () => {
    const { connection, standIn, options } = await standInWorld();
    const fullName = { type: String, required: true };
    connection.model('User', userSchema.clone().add({ fullName }));
    standIn.answers.idToken = (claims) => signed({ ...claims, name: 'Grace' });
    const come = async (more: Partial<OAuthOptions>) => {
      const app = await serveOAuth((publicUrl) => ({ ...options, publicUrl, ...more }));
      return { back: await visitorsOf(app.url).passBy(), logged: app.logged as Error[] };
    };

    const without = await come({});
    expect(without.back).to.equal('/?error=provider_failed');
    expect(String(without.logged[0]?.cause)).to.include('fullName');
    const unknown = { provision: () => ({ nick: 'gh', fullName: 'x' }) as object };
    expect((await come(unknown)).back).to.equal('/?error=provider_failed');
    expect(await users().countDocuments()).to.equal(0);

    const provision = async ({ provider, name }: NewPerson) =>
      ({ fullName: `${name} of ${provider}`, roles: ['admin'] }) as object;
    expect((await come({ provision })).back).to.equal('/');
    expect(await users().findOne()).to.deep.include({ fullName: 'Grace of oidc', roles: ['user'] });
  });

  /** What a route that wants a recent sign-in says after one whose id_token has that `auth_time`. */
  async function stepUp(ago: number | null, provider: Partial<OAuthProvider> = {}) {
    const made = await standInWorld();
    const { providers } = made.options;
    Object.assign(providers?.oidc as object, provider);
    made.standIn.answers.idToken = (claims) =>
      signed(ago === null ? claims : { ...claims, auth_time: (claims.iat as number) - ago });
    const visitor = browser();
    const app = await serveOAuth((publicUrl) => ({ ...made.options, publicUrl }));
    const { passBy } = visitorsOf(app.url);
    expect(await passBy(visitor)).to.equal('/');
    const { status } = await post(visitor, `${app.url}/auth/totp`);
    const [stored] = await inspector().collection('tollgate_sessions').find().toArray();
    return { status, silent: stored?.silent, age: Date.now() - stored?.authenticatedAt.getTime() };
  }

  it('is as recent as the provider says that the person proved who they are', async () => {
    expect(await stepUp(0)).to.include({ status: 201, silent: false });
    expect(await stepUp(-3_600)).to.include({ status: 201 }); // a clock that is ahead
    const old = await stepUp(3_600);
    expect(old).to.include({ status: 401, silent: false });
    expect(old.age).to.be.within(3_590_000, 3_700_000);
  });

  it('is not recent where the provider says nothing of that, unless it is configured to count', async () => {
    const unknown = await stepUp(null);
    expect(unknown).to.include({ status: 401, silent: true });
    expect(unknown.age).to.be.lessThan(60_000);
    expect(await stepUp(null, { countsAsRecent: true })).to.include({ status: 201, silent: false });
  });

  it('is made recent by proving it here', async () => {
    const { passBy, url, shared } = await standInWorld();
    const visitor = browser();
    await passBy(visitor);
    const reset = (await users().findOne()) as { email: string } | null;
    const { password: stored } = await createUser({ ...shared, email: 'x@example.com', password }).then(() =>
      users()
        .findOne({ email: 'x@example.com' })
        .then((user) => user as unknown as { password: object }),
    );
    await users().updateOne({ email: reset?.email as string }, { $set: { password: stored } });
    expect((await post(visitor, `${url}/auth/totp`)).status).to.equal(401);
    expect((await post(visitor, `${url}/auth/reauthenticate`, { password })).status).to.equal(204);
    expect((await post(visitor, `${url}/auth/totp`)).status).to.equal(201);
  });

  it('can be asked for anew: then the provider lets nobody through in silence', async () => {
    const { start, signIn, goAndAgree, url } = await oidcWorld({
      ada: { email: 'a@example.com', email_verified: true },
    });
    const visitor = browser();
    expect(await signIn('ada', visitor)).to.equal('/');
    expect((await post(visitor, `${url}/auth/totp`)).status).to.equal(201); // a real provider tells auth_time when asked
    const callback = `${url}/auth/oauth/oidc/callback`;
    await visitor.follow(locationOf(await start(visitor)), callback); // silently
    const anew = locationOf(await start(visitor, '?prompt=login'));
    expect(Object.fromEntries(new URL(anew).searchParams)).to.include({ prompt: 'login', max_age: '0' });
    const silently = await visitor.follow(anew, callback).catch((error: Error) => error);
    expect(String(silently)).to.include('answered 200'); // a page that asks who it is
    expect(locationOf(await visitor.open(await goAndAgree(visitor, 'ada', '?prompt=login')))).to.equal('/');
    expect((await start(visitor, '?prompt=none')).status).to.equal(400);
  });
});

describe('signing in by Telegram', () => {
  const botToken = '123456:a token of the bot';
  const now = () => Math.floor(Date.now() / 1000);

  interface Fields {
    [field: string]: unknown;
  }

  /** What the widget gives, as core.telegram.org/widgets/login has it. */
  function payload(fields: Fields = {}, token = botToken): Fields {
    const data: Fields = { id: 4242, first_name: 'Grace', username: 'grace', auth_date: now(), ...fields };
    const text = Object.keys(data).filter((name) => data[name] !== undefined).sort().map((name) => `${name}=${data[name]}`).join('\n'); // biome-ignore format: a chain
    const key = createHash('sha256').update(token).digest();
    return { ...data, hash: createHmac('sha256', key).update(text).digest('hex') };
  }

  async function telegramWorld(
    providers: Providers = { telegram: { botToken } },
    more: Partial<SharedOptions> = {},
  ) {
    const { shared } = await emptyWorld(more);
    const { url } = await serveOAuth(() => ({ ...shared, providers }));
    const send = (body: unknown, visitor = browser()) =>
      post(visitor, `${url}/auth/oauth/telegram`, body as object);
    return { url, shared, send };
  }

  it('makes a user with an address that no mail reaches, and finds them again', async () => {
    const { url, send } = await telegramWorld();
    const visitor = browser();
    const answer = await send(payload({ last_name: 'Hopper', photo_url: 'https://t.me/i/x.jpg' }), visitor);
    const { user, accessToken, expiresIn } = (await answer.json()) as {
      user: User;
      accessToken: string;
      expiresIn: number;
    };

    expect(answer.status).to.equal(200);
    expect([typeof accessToken, expiresIn]).to.deep.equal(['string', 900]);
    expect(user).to.include({
      name: 'Grace Hopper',
      email: 'telegram-4242@telegram.invalid',
      emailVerified: false,
    });
    expect(await me(visitor, url)).to.include({ id: user.id });

    const again = (await (await send(payload({ id: '4242', auth_date: String(now() - 1) }))).json()) as {
      user: User;
    };
    expect(again.user.id).to.equal(user.id);
    expect(await users().countDocuments()).to.equal(1);
  });

  it('gives the refresh token in the body when tokenDelivery says so', async () => {
    const { send } = await telegramWorld();
    const answer = await send({ ...payload(), tokenDelivery: 'body' });
    expect(await answer.json())
      .to.have.property('refreshToken')
      .that.is.a('string');
    expect(answer.headers.getSetCookie()).to.deep.equal([]);
  });

  it('refuses what is forged, stale, from the future, or signed for another bot', async () => {
    const { send } = await telegramWorld();
    const genuine = payload();
    for (const [what, forged] of Object.entries({
      'another id': { ...genuine, id: 1 },
      'another name': { ...genuine, first_name: 'Mallory' },
      'a field more': { ...genuine, last_name: 'Hopper' },
      'a field less': { ...genuine, username: undefined },
      'a newer date': { ...genuine, auth_date: now() + 1 },
      'another bot': payload({}, '654321:another bot'),
      'another hash': { ...genuine, hash: 'f'.repeat(64) },
      stale: payload({ auth_date: now() - 301 }),
      'from the future': payload({ auth_date: now() + 300 }),
    }))
      expect(await outcome(await send(forged)), what).to.equal('401 credentials_invalid');
    expect(await users().countDocuments()).to.equal(0);
  });

  it('refuses line feeds, by which one field can be read as two', async () => {
    const { send } = await telegramWorld();
    const auth_date = now();
    const data = { auth_date, first_name: 'A\nid=1234\nlast_name=B', id: 555, username: undefined };
    const { username: _, ...signedFor555 } = payload(data);
    const readAs1234 = { ...signedFor555, first_name: 'A', id: 1234, last_name: 'B\nid=555' };
    for (const reading of [signedFor555, readAs1234])
      expect(await outcome(await send(reading))).to.equal('401 credentials_invalid');
    expect(await users().countDocuments()).to.equal(0);
  });

  it('judges as many forgeries of an address as credentialRate says', async () => {
    const { send } = await telegramWorld(undefined, { credentialRate: '5/minute' });
    const forged = { ...payload(), hash: 'f'.repeat(64) };
    const answers = await Promise.all(times(12, () => send(forged)));
    expect(countBy(answers, 'status')).to.deep.equal({ 401: 5, 429: 7 });
  });

  it('links the account to whoever is signed in, once and to one user', async () => {
    const { url, shared, send } = await telegramWorld(undefined, { strict: true });
    const link = (visitor: Browser, body: object) => post(visitor, `${url}/auth/providers/telegram`, body);
    const [ada, bob] = await Promise.all(
      ['ada@example.com', 'bob@example.com'].map(async (email) => {
        await createUser({ ...shared, email, password, emailVerified: true });
        return byPassword(url, email);
      }),
    );
    const at = now(); // each payload a second older: two alike would be one, sent twice
    const once = payload({ auth_date: at });
    expect(await outcome(await link(browser(), once))).to.equal('401 token_missing');
    expect(await outcome(await link(ada as Browser, { ...once, id: 1 }))).to.equal('401 credentials_invalid');

    const answer = await link(ada as Browser, once);

    expect([answer.status, await answer.json()]).to.deep.equal([200, { url: null }]);
    expect(await outcome(await link(ada as Browser, once))).to.equal('401 credentials_invalid');
    const again = payload({ auth_date: at - 1 });
    expect(await outcome(await link(bob as Browser, again))).to.equal('409 conflict');
    const listed = (await (await (ada as Browser).open(`${url}/auth/providers`)).json()) as {
      items: { provider: string }[];
      available: string[];
    };
    expect(listed.available).to.deep.equal(['telegram']);
    expect(listed.items.map(({ provider }) => provider)).to.deep.equal(['telegram']);
    const { user } = (await (await send(payload({ auth_date: at - 2 }))).json()) as { user: User };
    expect(user).to.include({ email: 'ada@example.com' });
    await inspector()
      .collection('tollgate_sessions')
      .updateMany({}, { $set: { authenticatedAt: new Date(Date.now() - 3_600_000) } });
    const late = payload({ auth_date: at - 3 });
    expect(await outcome(await link(bob as Browser, late))).to.equal('401 reauthentication_required');
  });

  it('takes one payload once, however often it comes at the same time', async () => {
    const { send } = await telegramWorld();
    const once = payload();
    const answers = await Promise.all(times(20, () => send(once)));
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 1, 401: 19 });
    expect(await outcome(await send({ ...once, hash: String(once.hash).toUpperCase() }))).to.equal(
      '401 credentials_invalid',
    );
  });

  it('refuses what is not of the form', async () => {
    const { send } = await telegramWorld();
    for (const body of [
      {}, [], null, 'x', { ...payload(), role: 'admin' }, { ...payload(), hash: { $ne: '' } }, { ...payload(), hash: 'f'.repeat(63) },
      payload({ id: { $gt: 0 } }), payload({ id: -1 }), payload({ id: 1.5 }), payload({ id: '1\nid=2' }), payload({ id: ['1'] }),
      payload({ auth_date: 'now' }), payload({ first_name: ['x'] }), JSON.parse('{"__proto__":{"id":1}}'),
    ]) // biome-ignore format: a list
      expect(await outcome(await send(body)), JSON.stringify(body)).to.equal('400 validation_failed');
  });

  it("takes no payload from another site's page, which would sign its visitor in as somebody else", async () => {
    const { url } = await telegramWorld();
    const evil = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    const answer = await post(browser(), `${url}/auth/oauth/telegram`, payload(), evil);
    expect(await outcome(answer)).to.equal('403 cross_origin');
  });

  it('is not there where no bot is configured', async () => {
    const { send } = await telegramWorld({});
    expect(await outcome(await send(payload()))).to.equal('404 not_found');
  });

  it('takes the place of a squatter who has signed up with that address', async () => {
    const { send, shared } = await telegramWorld();
    const email = 'telegram-4242@telegram.invalid';
    await createUser({ ...shared, email, password });
    expect((await send(payload())).status).to.equal(200);
    expect(await users().findOne({ email })).to.include({ password: null, emailVerified: false });
  });
});

describe('the options of oauthRouter()', () => {
  const keys = [secret];
  const publicUrl = 'https://app.example.com';
  const wrong = (options: object) => () => oauthRouter(options as OAuthOptions);

  it('must have a publicUrl where browsers are sent back to it, and only there', () => {
    expect(wrong({ keys, providers: { github: client } })).to.throw(
      TypeError,
      'option publicUrl is required',
    );
    expect(wrong({ keys })).not.to.throw();
    expect(wrong({ keys, providers: { telegram: { botToken: '1:x' } } })).not.to.throw();
    expect(wrong({ keys, publicUrl, providers: { github: client, google: client } })).not.to.throw();
  });

  it('name what is wrong with a provider', () => {
    const { clientId } = client;
    for (const [providers, message] of [
      [{ google: { clientId } }, 'providers.google.clientSecret is required'],
      [{ own: client }, 'providers.own.authorizeUrl is required where there is no issuer'],
      [{ own: { ...client, issuer: 'x' } }, 'providers.own.issuer must be a valid uri'],
      [{ own: { ...client, issuer: 'javascript:x' } }, 'providers.own.issuer'],
      [{ google: { ...client, emailsUrl: 'https://x' } }, 'providers.google.emailsUrl is unknown'],
      [{ 'not/a/name': { ...client, issuer: 'https://x' } }, 'providers.not/a/name is unknown'],
      [{ telegram: {} }, 'providers.telegram.botToken is required'],
    ] as const)
      expect(wrong({ keys, publicUrl, providers })).to.throw(TypeError, message);
  });

  it('come from variables too, a provider where its client id is set', () => {
    const env = {
      TOLLGATE_GOOGLE_CLIENT_ID: 'g', TOLLGATE_GOOGLE_CLIENT_SECRET: 's', TOLLGATE_GOOGLE_TOKEN_URL: 'http://127.0.0.1/t',
      TOLLGATE_GITHUB_CLIENT_SECRET: 's', TOLLGATE_GITHUB_EMAILS_URL: 'http://127.0.0.1/e',
      TOLLGATE_OIDC_CLIENT_ID: 'o', TOLLGATE_OIDC_CLIENT_SECRET: 's', TOLLGATE_OIDC_ISSUER: 'https://login.example.com',
      TOLLGATE_TELEGRAM_BOT_TOKEN: '1:x',
    }; // biome-ignore format: a list
    expect(optionsFromEnv(env)).to.deep.equal({
      providers: {
        google: { clientId: 'g', clientSecret: 's', tokenUrl: 'http://127.0.0.1/t' },
        oidc: { clientId: 'o', clientSecret: 's', issuer: 'https://login.example.com' },
        telegram: { botToken: '1:x' },
      },
    });
    expect(() => optionsFromEnv({ TOLLGATE_OIDC_CLIENT_ID: 'o', TOLLGATE_OIDC_ISSUER: 'x' }))
      .to.throw(TypeError)
      .with.property('message')
      .that.match(/TOLLGATE_OIDC_CLIENT_SECRET is required/)
      .and.match(/TOLLGATE_OIDC_ISSUER must be/);
  });
});
