import { execFile } from 'node:child_process';
import { inspect, promisify } from 'node:util';
import Router from '@koa/router';
import { expect } from 'chai';
import Koa from 'koa';
import type { Response } from 'supertest';
import {
  type AuthenticateOptions,
  authenticate,
  createApiKey,
  createOrganization,
  createUser,
  endpoint,
  entitlementsOf,
  optionsFromEnv,
  organization,
  problems,
  ready,
  requireAnyEntitlement,
  requireClaims,
  requireEntitlement,
  requireFactor,
  requireRecentSignIn,
  requireRole,
  type SharedOptions,
  signIn,
} from '../../lib/index.js';
import type { StytchOptions } from '../../lib/runtime/stytch-options.js';
import { watchCommands } from '../support/commands.js';
import { startStytch } from '../support/stytch.js';
import {
  atEnd,
  clientsOf,
  connect,
  countBy,
  emptyWorld,
  inspector,
  secret,
  serve,
  times,
  until,
  world,
} from '../support/world.js';

const password = 'correct horse battery';

/** An application that answers what `authenticate()` found, and some guards that look at it. */
async function guarded(options: AuthenticateOptions) {
  const router = new Router();
  const signedIn = authenticate(options as AuthenticateOptions & { optional?: false });
  const ok = (ctx: Koa.ParameterizedContext) => {
    ctx.body = { ok: true };
  };
  const began = async (ctx: Koa.ParameterizedContext, next: Koa.Next) => {
    ctx.began = performance.now();
    await next();
  };
  router.all('/me', began, signedIn, (ctx) => {
    durations.push(performance.now() - ctx.began);
    const { user, session, apiKey, credential, factors, claims, stytch = null } = ctx.state;
    const times = stytch && { isExpired: stytch.isExpired, secondsLeft: stytch.secondsLeft };
    ctx.body = { user, session, apiKey, credential, factors, claims, stytch, times };
  });
  router.get(
    '/only',
    endpoint(authenticate({ ...options, accept: ['stytch'], optional: false }), (ctx) => {
      ctx.body = { memberId: ctx.state.stytch.memberId, session: ctx.state.session };
    }),
  );
  router.get('/gold', endpoint(signedIn, requireClaims({ tier: 'gold' }), ok));
  router.get('/mfa', endpoint(signedIn, requireFactor('mfa'), ok));
  router.get('/designer', endpoint(signedIn, requireRole('designer'), ok));
  router.get('/recent', endpoint(signedIn, requireRecentSignIn(), ok));
  const app = new Koa();
  const durations: number[] = [];
  const thrown: unknown[] = [];
  app.on('error', (error) => thrown.push(error));
  app.use(problems()).use(router.routes());
  return { ...clientsOf(await serve(app)), thrown, durations };
}

async function stytchWorld(
  options: Partial<AuthenticateOptions> = {},
  stytchOptions: Partial<StytchOptions> = {},
) {
  const { connection, shared } = await emptyWorld();
  const server = await startStytch(stytchOptions);
  const { stytch } = server;
  const all = { ...shared, stytch, accept: ['session', 'stytch'], ...options } as const;
  return { connection, shared: { ...shared, stytch }, ...server, ...(await guarded(all)) };
}

/** A user of ours who has signed in. */
async function ours(shared: SharedOptions, email: string) {
  await createUser({ ...shared, email, password, emailVerified: true });
  return signIn({ ...shared, email, password });
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const cookies = (values: Record<string, string>) => ({
  Cookie: Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join('; '),
});
const answerOf = ({ status, body }: Response) => `${status} ${body.code ?? body.user?.email ?? 'nobody'}`;
const grace = { member: { email_address: 'grace@example.com', member_id: 'member-test-grace' } };

describe('authenticate() with Stytch', () => {
  it('takes a session token or a session JWT, as Bearer or in the cookies of the SDK', async () => {
    const { start, withHeaders, calls } = await stytchWorld();
    const { token, jwt } = start(grace);
    const cases = [
      bearer(token),
      bearer(jwt),
      cookies({ stytch_session: token }),
      cookies({ stytch_session_jwt: jwt }),
      cookies({ stytch_session: token, stytch_session_jwt: 'stale' }),
    ];
    for (const headers of cases)
      expect(answerOf(await withHeaders(headers).get('/me'))).to.equal('200 grace@example.com');
    expect(calls).to.deep.equal([{ session_token: token }, { session_jwt: jwt }]);
  });

  it('says who it is, by which session, factors and claims, with the session of Stytch as it came', async () => {
    const { start, withHeaders } = await stytchWorld();
    const authentication_factors = [{ type: 'password' }, { type: 'totp' }];
    const { token, session } = start({
      ...grace,
      session: { authentication_factors, custom_claims: { tier: 'gold' }, roles: ['editor'] },
    });

    const { body } = await withHeaders(bearer(token)).get('/me').expect(200);

    expect(body).to.deep.include({
      session: null,
      apiKey: null,
      credential: 'stytch',
      claims: { tier: 'gold' },
    });
    expect(body.factors).to.deep.equal(['password', 'totp']);
    expect(body.user).to.include({ email: 'grace@example.com', emailVerified: true, status: 'active' });
    expect(body.times.isExpired).to.equal(false);
    expect(body.times.secondsLeft).to.be.within(3_590, 3_600);
    expect(body.stytch).to.deep.equal({
      memberId: 'member-test-grace',
      organizationId: session.organization_id,
      sessionId: session.member_session_id,
      startedAt: session.started_at,
      lastAccessedAt: session.last_accessed_at,
      expiresAt: session.expires_at,
      factors: ['password', 'totp'],
      roles: ['editor'],
      claims: { tier: 'gold' },
      raw: session,
    });
  });

  it('lets the other guards judge what Stytch says, and gives none of our roles for Stytch’s', async () => {
    const { start, withHeaders } = await stytchWorld();
    const poor = withHeaders(bearer(start().token));
    const rich = start({
      session: {
        authentication_factors: [{ type: 'password' }, { type: 'totp' }],
        custom_claims: { tier: 'gold' },
        roles: ['designer', 'admin'],
      },
    });
    const gold = withHeaders(bearer(rich.token));
    expect(answerOf(await poor.get('/gold'))).to.equal('403 claim_missing');
    expect(answerOf(await poor.get('/mfa'))).to.equal('403 factor_missing');
    await gold.get('/only').expect(200, { memberId: rich.session.member_id, session: null });
    await gold.get('/gold').expect(200);
    await gold.get('/mfa').expect(200);
    expect(answerOf(await gold.get('/designer'))).to.equal('403 role_missing');
    expect(answerOf(await gold.get('/recent'))).to.equal('401 reauthentication_required');
  });

  it('answers what is remembered in under 10 ms, without a call and without a command', async () => {
    const { start, withHeaders, shared, calls } = await stytchWorld();
    const watched = await connect(undefined, { monitorCommands: true });
    const app = await guarded({ ...shared, connection: watched, accept: ['stytch'] });
    const ask = () => app.withHeaders(bearer(token)).get('/me').expect(200);
    const { token } = start(grace);
    const names = watchCommands(watched);
    await until(async () => {
      names.length = 0;
      await ask();
      return names.length === 0; // the change feed is live
    });
    const asked = calls.length;
    app.durations.length = 0;
    for (let index = 0; index < 50; index += 1) await ask();
    await Promise.all(times(20, ask));
    expect(names).to.deep.equal([]);
    expect(calls).to.have.length(asked);
    const [median] = app.durations.sort((one, other) => one - other).slice(app.durations.length / 2);
    expect(median).to.be.below(10);
    await withHeaders(bearer(token)).get('/me').expect(200);
    expect(calls, 'every guard of the process shares what is remembered').to.have.length(asked);
  });

  describe('refuses', () => {
    it('what is missing, wrong, expired, revoked or of a foreign organization with 401', async () => {
      const organizationIds = ['organization-test-acme'];
      const { start, revoke, anyone, withHeaders } = await stytchWorld({}, { organizationIds });
      const revoked = start().token;
      revoke(revoked);
      const foreign = start({ member: { organization_id: 'organization-test-evil' } }).token;
      const answer = async (headers: Record<string, string>) => {
        const response = await withHeaders(headers)
          .get('/me')
          .expect('WWW-Authenticate', /^Bearer/);
        return answerOf(response);
      };
      expect(answerOf(await anyone().get('/me'))).to.equal('401 token_missing');
      expect(await answer(bearer('a.b.c'))).to.equal('401 token_invalid');
      expect(await answer(cookies({ stytch_session: '' }))).to.equal('401 token_missing');
      expect(await answer(bearer(start({ expiresIn: -1 }).token))).to.equal('401 session_revoked');
      expect(await answer(bearer(revoked))).to.equal('401 session_revoked');
      expect(await answer(bearer(foreign))).to.equal('401 token_invalid');
    });

    it('a member whom it can give no user, and says why', async () => {
      const { start, withHeaders, shared } = await stytchWorld();
      await createUser({ ...shared, email: 'grace@example.com', emailVerified: true });
      const unverified = start({ member: { email_address_verified: false } });
      expect(answerOf(await withHeaders(bearer(start(grace).token)).get('/me'))).to.equal('409 email_taken');
      expect(answerOf(await withHeaders(bearer(unverified.token)).get('/me'))).to.equal(
        '403 email_unverified',
      );
    });

    it('a session where only other kinds are accepted, and the other kinds where only Stytch’s is', async () => {
      const { start, withHeaders, shared } = await stytchWorld({ accept: ['session'] });
      const only = await guarded({ ...shared, accept: ['stytch'] });
      const { accessToken } = await ours(shared, 'ada@example.com');
      const { token } = start(grace);
      expect(answerOf(await withHeaders(bearer(token)).get('/me'))).to.equal('403 credential_not_allowed');
      const wrong = only.withHeaders(bearer(accessToken));
      expect(answerOf(await wrong.get('/me'))).to.equal('403 credential_not_allowed');
      await only.withHeaders(bearer(token)).get('/me').expect(200);
    });

    it('a session beside one of ours of another user, but not of the same one', async () => {
      const { start, withHeaders, shared } = await stytchWorld({}, { linkByEmail: true });
      const ada = await ours(shared, 'ada@example.com');
      const mixed = (token: string) =>
        withHeaders({ ...cookies({ stytch_session: token }), ...bearer(ada.accessToken) });
      expect(answerOf(await mixed(start(grace).token).get('/me'))).to.equal('400 credentials_conflict');
      const hers = start({ member: { email_address: 'ada@example.com' } });
      const { body } = await mixed(hers.token).get('/me').expect(200);
      expect(body).to.include({ credential: 'session' });
      expect(answerOf(await mixed('stale').get('/me'))).to.equal('200 ada@example.com');
    });

    it('a request that changes something by the cookie from another origin', async () => {
      const { start, withHeaders } = await stytchWorld();
      const { token } = start(grace);
      const evil = { Origin: 'https://evil.example.com' };
      const byCookie = withHeaders({ ...cookies({ stytch_session: token }), ...evil });
      expect(answerOf(await byCookie.post('/me'))).to.equal('403 cross_origin');
      await byCookie.get('/me').expect(200);
      await withHeaders({ ...bearer(token), ...evil })
        .post('/me')
        .expect(200);
    });

    it('to be made without the option, or with one that is wrong', () => {
      const keys = [secret];
      expect(() => authenticate({ keys, accept: ['stytch'] })).to.throw(
        TypeError,
        /option stytch is required/,
      );
      const stytch = { projectId: 'p', timeout: 0, env: 'nowhere' } as unknown as StytchOptions;
      expect(() => authenticate({ keys, stytch }))
        .to.throw(TypeError)
        .with.property('message')
        .that.matches(/option stytch\.secret is required/)
        .and.matches(/option stytch\.timeout must be/)
        .and.matches(/option stytch\.env must be/);
    });

    it('to be made without the package, and says which', async () => {
      const made = `
        import Module from 'node:module';
        const find = Module._resolveFilename;
        Module._resolveFilename = (name, ...rest) => find.call(Module, name === 'stytch' ? 'not-installed' : name, ...rest);
        const { authenticate } = await import('./lib/index.ts');
        const shared = { keys: ['${secret}'], stytch: { projectId: 'p', secret: 's' } };
        authenticate({ keys: shared.keys });
        try { authenticate(shared); } catch (error) { console.log(String(error)); }`;
      const args = ['--import', 'tsx', '--input-type=module', '--eval', made];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      expect(stdout.trim()).to.equal(
        'TypeError: The option stytch needs the package stytch: run npm install stytch',
      );
    });
  });

  it('is set up by variables, of which the address outranks the environment, and none counts without the project', () => {
    const rest = { STYTCH_SECRET: 's', STYTCH_TIMEOUT: '5', STYTCH_RETRIES: '0', STYTCH_CACHE_TTL: '60' };
    const read = (env: Record<string, string>) =>
      optionsFromEnv({ ...rest, ...env }, ['TOLLGATE_', '']).stytch;
    const said = { projectId: 'p', secret: 's', timeout: 5, retries: 0, cacheTtl: 60 };
    expect(read({})).to.equal(undefined);
    expect(read({ STYTCH_PROJECT_ID: 'p', STYTCH_ENV: 'live' })).to.deep.equal({ ...said, env: 'live' });
    const env = { STYTCH_PROJECT_ID: 'p', STYTCH_ENV: 'live', STYTCH_API_BASE: 'https://login.example.com' };
    expect(read(env)).to.deep.equal({ ...said, env: 'https://login.example.com' });
    expect(() => read({ STYTCH_PROJECT_ID: 'p', STYTCH_ENV: 'my secret', STYTCH_TIMEOUT: '-1' }))
      .to.throw(TypeError)
      .with.property('message')
      .that.matches(/STYTCH_ENV must be/)
      .and.matches(/STYTCH_TIMEOUT must be/)
      .and.not.matches(/my secret/);
  });

  it('sends its secret nowhere in the clear in production', () => {
    const before = process.env.NODE_ENV;
    process.env.NODE_ENV = 'production';
    try {
      const plain = { projectId: 'p', secret: 's', env: 'http://stytch.example.com' };
      expect(() => authenticate({ keys: [secret], stytch: plain })).to.throw(
        TypeError,
        /stytch\.env must begin with https/,
      );
    } finally {
      if (before === undefined) delete process.env.NODE_ENV;
      else process.env.NODE_ENV = before;
    }
  });

  it('never sends Stytch what is written like a token of ours', async () => {
    const { withHeaders, shared, calls, stop } = await stytchWorld();
    const { accessToken, refreshToken, user } = await ours(shared, 'ada@example.com');
    const { key } = await createApiKey({ ...shared, userId: user.id, name: 'nightly build' });
    for (const token of [refreshToken, key]) {
      const answer = await withHeaders({ ...bearer(token), ...cookies({ stytch_session: token }) }).get(
        '/me',
      );
      expect(answerOf(answer)).to.equal('401 token_invalid');
    }
    const [header, payload] = accessToken.split('.');
    await stop();
    await withHeaders(bearer(accessToken)).get('/me').expect(200);
    const forged = await withHeaders(bearer(`${header}.${payload}.AAAA`)).get('/me');
    expect(answerOf(forged)).to.equal('401 token_invalid');
    expect(calls).to.deep.equal([]);
  });

  describe('where its sessions are not accepted', () => {
    it('makes no user of a member, and says 403 only to a genuine one', async () => {
      const { start, withHeaders, shared } = await stytchWorld({ accept: ['session'] });
      const optional = await guarded({ ...shared, accept: ['session'], optional: true });
      const { token } = start(grace);
      for (const app of [withHeaders, optional.withHeaders])
        for (const headers of [bearer(token), cookies({ stytch_session: token })])
          expect(answerOf(await app(headers).get('/me'))).to.equal('403 credential_not_allowed');
      expect(answerOf(await withHeaders(bearer('nonsense')).get('/me'))).to.equal('401 token_invalid');
      expect(answerOf(await optional.withHeaders(bearer('nonsense')).get('/me'))).to.equal('200 nobody');
      expect(await inspector().collection('users').countDocuments()).to.equal(0);
    });

    it('asks Stytch nothing for who has another credential, and depends on it in nothing', async () => {
      const { start, withHeaders, shared, calls, stop } = await stytchWorld(
        { accept: ['session'], optional: true },
        { retries: 0 },
      );
      const { accessToken } = await ours(shared, 'ada@example.com');
      const both = { ...bearer(accessToken), ...cookies({ stytch_session: start(grace).token }) };
      expect(answerOf(await withHeaders(both).get('/me'))).to.equal('200 ada@example.com');
      expect(calls).to.deep.equal([]);
      await stop();
      expect(answerOf(await withHeaders(both).get('/me'))).to.equal('200 ada@example.com');
      expect(answerOf(await withHeaders(bearer('leftover')).get('/me'))).to.equal('200 nobody');
    });
  });

  it('lets a valid session of ours through while Stytch does not answer about the one beside it', async () => {
    const { withHeaders, shared, stop } = await stytchWorld({}, { retries: 0 });
    const { accessToken } = await ours(shared, 'ada@example.com');
    await stop();
    const both = { ...bearer(accessToken), ...cookies({ stytch_session: 'leftover' }) };
    expect(answerOf(await withHeaders(both).get('/me'))).to.equal('200 ada@example.com');
    const only = await withHeaders(cookies({ stytch_session: 'leftover' })).get('/me');
    expect(answerOf(only)).to.equal('503 identity_provider_unavailable');
  });

  it('asks about five unknown tokens a minute of an address, and goes on with who is known or elsewhere', async () => {
    const limits = { credentialRate: '5/minute', trustedProxies: 1 } as const;
    const { start, withHeaders, calls } = await stytchWorld(limits);
    const from = (ip: string) => (token: string) =>
      withHeaders({ ...bearer(token), 'X-Forwarded-For': ip }).get('/me');
    const [here, elsewhere] = [from('203.0.113.7'), from('198.51.100.1')];
    const [known, late] = [start(grace), start()];
    expect((await here(known.token)).status).to.equal(200);

    const answers = await Promise.all(times(20, (index) => here(`nonsense ${index}`)));

    expect(countBy(answers, 'status')).to.deep.equal({ 401: 5, 429: 15 });
    expect(calls).to.have.length(6);
    const refusal = await here(late.token).expect('Retry-After', /^\d+$/);
    expect(answerOf(refusal)).to.equal('429 rate_limited');
    expect((await here(known.token)).status).to.equal(200);
    expect((await elsewhere(late.token)).status).to.equal(200);
    expect((await here(late.token)).status).to.equal(200);
  });

  it('treats an invalid session as absent where it is optional, and keeps the 503', async () => {
    const { anyone, withHeaders, start, stop } = await stytchWorld({ optional: true }, { retries: 0 });
    const { token } = start(grace);
    expect(answerOf(await anyone().get('/me'))).to.equal('200 nobody');
    expect(answerOf(await withHeaders(bearer('nonsense')).get('/me'))).to.equal('200 nobody');
    expect(answerOf(await withHeaders(bearer(token)).get('/me'))).to.equal('200 grace@example.com');
    await stop();
    const unknown = withHeaders(bearer('another'));
    expect(answerOf(await unknown.get('/me'))).to.equal('503 identity_provider_unavailable');
    expect(answerOf(await withHeaders(bearer(token)).get('/me'))).to.equal('200 grace@example.com');
  });

  it('answers 503 within the timeout while Stytch is silent, and keeps the token out of answer and log', async () => {
    const { withHeaders, start, become, thrown, stytch } = await stytchWorld({}, { timeout: 1 });
    become('silent');
    const { token } = start(grace);
    const answer = await withHeaders(bearer(token)).get('/me').expect('Retry-After', '1');
    expect(answerOf(answer)).to.equal('503 identity_provider_unavailable');
    const logged = inspect([answer.text, thrown], { depth: 20, showHidden: true });
    expect(logged).not.to.include(token).and.not.to.include(stytch.secret);
  });
});

describe('the demo application', () => {
  it('takes sessions of Stytch where it is told of a project', async () => {
    const { stytch, start } = await startStytch();
    const { withHeaders, acme } = await world({ stytch });
    const { body } = await withHeaders(bearer(start(grace).token))
      .get('/api/me')
      .expect(200);
    expect(body.user).to.include({ email: 'grace@example.com' });
    expect(body.organization).to.equal(null);
    expect(body.entitlements).to.include('images');
    const { token } = start(grace);
    await withHeaders({ ...bearer(token), 'X-Organization-Id': acme })
      .get('/api/me')
      .expect(404);
    const browser = await withHeaders(bearer(token)).get('/api/browser');
    expect(answerOf(browser)).to.equal('403 credential_not_allowed');
  });
});

describe('an application without plans', () => {
  it('finds organizations, and nulls where entitlements would be, though none of the collections exists', async () => {
    const { connection, shared } = await emptyWorld();
    for (const name of ['plans', 'subscriptions']) await inspector().dropCollection(name);
    atEnd(() => ready(connection));
    const { user, accessToken } = await ours(shared, 'ada@example.com');
    const acme = await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: user.id });
    const router = new Router();
    const inOrganization = [authenticate(shared), organization()] as const;
    router.get(
      '/me',
      endpoint(...inOrganization, async (ctx) => {
        const subject = { type: 'organization', id: acme.id } as const;
        const { plan, ...entitled } = await entitlementsOf({ connection, subject });
        ctx.body = { plan, ...entitled, organization: ctx.state.organization };
      }),
    );
    router.get(
      '/reports',
      endpoint(...inOrganization, requireEntitlement('reports'), () => {}),
    );
    router.get(
      '/any',
      endpoint(...inOrganization, requireAnyEntitlement(['reports', 'images']), () => {}),
    );
    const app = new Koa();
    app.use(problems()).use(router.routes());
    const ada = clientsOf(await serve(app)).withHeaders(bearer(accessToken));

    const { body } = await ada.get('/me').expect(200);

    expect(body).to.deep.include({ plan: null, entitlements: null, tier: null, limits: null });
    expect(body.organization).to.include({ id: acme.id, plan: null });
    for (const path of ['/reports', '/any']) {
      const refusal = await ada.get(path).expect(403);
      expect(refusal.body).to.include({
        code: 'entitlement_missing',
        currentTier: null,
        upgradeRequired: false,
      });
    }
  });
});
