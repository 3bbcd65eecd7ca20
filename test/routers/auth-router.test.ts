import Router from '@koa/router';
import { expect } from 'chai';
import Koa from 'koa';
import type mongoose from 'mongoose';
import request, { type Response } from 'supertest';
import { authenticate, authRouter, createUser, problems, type SharedOptions } from '../../lib/index.js';
import { connect, countBy, emptyWorld, inspector, serve, times, until } from '../support/world.js';

const email = 'ada@example.com';
const password = 'lovelace-1815';
const credentials = { email, password };

/** An application with the routes under /auth, and one that needs a session: GET /api/me. */
async function serveAuth(shared: SharedOptions, prepare: (app: Koa) => void = () => {}) {
  const router = new Router();
  router.get('/api/me', authenticate(shared), (ctx) => {
    ctx.body = ctx.state.user;
  });
  const app = new Koa();
  prepare(app);
  app.use(problems());
  for (const each of [authRouter(shared), router]) {
    app.use(each.routes() as Koa.Middleware).use(each.allowedMethods() as Koa.Middleware);
  }
  return request(await serve(app));
}

const users = () => inspector().collection('users');
const sessions = () => inspector().collection('tollgate_sessions');

let kept: { shown: object; stored: mongoose.mongo.BSON.Document } | undefined;

/** A database with Ada alone, hashed once for all tests, and the application. */
async function adasWorld(options: Partial<SharedOptions> = {}) {
  const { connection, shared } = await emptyWorld(options);
  if (kept) await users().insertOne({ ...kept.stored });
  else {
    const shown = await createUser({ ...shared, ...credentials, name: 'Ada', emailVerified: true });
    kept = { shown, stored: (await users().findOne({ email })) ?? {} };
  }
  return { connection, shared, app: await serveAuth(shared), ada: JSON.parse(JSON.stringify(kept.shown)) };
}

type App = Awaited<ReturnType<typeof serveAuth>>;

const signIn = (app: App, body: object = credentials) => app.post('/auth/sign-in').send(body);
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const me = async (app: App, token: string) => outcome(await app.get('/api/me').set(bearer(token)));
const outcome = ({ status, body }: Response) => (body.code ? `${status} ${body.code}` : String(status));
/** What the errors of a problem name, each once. */
const paths = ({ body }: Response) => [
  ...new Set(((body.errors ?? []) as { path: string }[]).map(({ path }) => path)),
];

interface SetCookie {
  value: string;
  expires: number;
  /** Lower case, sorted. */
  attributes: string[];
}

/** The cookies that an answer sets, by name. */
function cookiesOf({ headers }: Response): Record<string, SetCookie> {
  const lines = (headers['set-cookie'] ?? []) as unknown as string[];
  return Object.fromEntries(
    lines.map((line) => {
      const [pair = '', ...rest] = line.split(/; */);
      const [name = '', value = ''] = pair.split('=');
      const expires = Date.parse(rest.find((each) => /^expires=/i.test(each))?.slice(8) ?? '');
      const attributes = rest
        .map((each) => each.toLowerCase())
        .filter((each) => !each.startsWith('expires='));
      return [name, { value, expires, attributes: attributes.sort() }];
    }),
  );
}

const headerOf = (cookies: Record<string, SetCookie>, ...names: string[]) =>
  Object.entries(cookies)
    .filter(([name]) => names.length === 0 || names.includes(name))
    .map(([name, { value }]) => `${name}=${value}`)
    .join('; ');

describe('POST /auth/sign-in', () => {
  describe('with the right password', () => {
    it('answers user, accessToken and expiresIn, nothing else, and never the password', async () => {
      const { app, ada } = await adasWorld();

      const { body, text, headers } = await signIn(app).expect(200);

      expect(body).to.have.all.keys('user', 'accessToken', 'expiresIn');
      expect(body.user).to.deep.equal(ada);
      expect(body.expiresIn).to.equal(900);
      expect(headers['cache-control']).to.equal('no-store');
      expect(text).not.to.match(/password|hash|epoch|\$2/i);
      expect(await me(app, body.accessToken)).to.equal('200');
    });

    it('sets both cookies, and the one of known devices, with the __Host- prefix and Secure, although TLS ends before the application', async () => {
      const { app } = await adasWorld({ cookies: { secure: true } });

      const answer = await signIn(app).expect(200);
      const cookies = cookiesOf(answer);

      expect(cookies).to.have.all.keys('__Host-access_token', '__Host-refresh_token', '__Host-device');
      const lifetimes = {
        '__Host-access_token': 900,
        '__Host-refresh_token': 2_592_000,
        '__Host-device': 31_536_000,
      };
      for (const [name, seconds] of Object.entries(lifetimes)) {
        const { attributes, expires } = cookies[name] as SetCookie;
        expect(attributes).to.deep.equal(['httponly', 'path=/', 'samesite=lax', 'secure']);
        expect(expires).to.be.closeTo(Date.now() + seconds * 1000, 20_000);
      }
      expect(cookies['__Host-access_token']?.value).to.equal(answer.body.accessToken);
      const sent = headerOf(cookies, '__Host-access_token');
      expect(outcome(await app.get('/api/me').set({ Cookie: sent }))).to.equal('200');
    });

    it('sets them without prefix and Secure where that was asked for, with the SameSite that was', async () => {
      const { app } = await adasWorld({ cookies: { secure: false, sameSite: 'strict' } });

      const cookies = cookiesOf(await signIn(app).expect(200));

      expect(cookies).to.have.all.keys('access_token', 'refresh_token', 'device');
      for (const { attributes } of Object.values(cookies))
        expect(attributes).to.deep.equal(['httponly', 'path=/', 'samesite=strict']);
    });

    it('sets no signatures where the application signs its own cookies, and reads these without one', async () => {
      const { shared } = await adasWorld();
      const app = await serveAuth(shared, (koa) => {
        koa.keys = ['the keys that koa-session signs its cookie with'];
      });

      const cookies = cookiesOf(await signIn(app).expect(200));
      const sent = headerOf(cookies, 'access_token');

      expect(cookies).to.have.all.keys('access_token', 'refresh_token', 'device');
      expect(outcome(await app.get('/api/me').set({ Cookie: sent }))).to.equal('200');
    });

    it('gives the refresh token in the body, and no cookie, when tokenDelivery is body', async () => {
      const { app } = await adasWorld();

      const answer = await signIn(app, { ...credentials, tokenDelivery: 'body' }).expect(200);

      expect(answer.body).to.have.all.keys('user', 'accessToken', 'expiresIn', 'refreshToken');
      expect(answer.body.refreshToken).to.be.a('string').with.length.above(80);
      expect(cookiesOf(answer)).to.deep.equal({});
    });

    it('takes the e-mail address in any case, and with spaces around it', async () => {
      const { app } = await adasWorld();

      for (const written of ['ADA@Example.COM', ' ada@example.com ']) {
        const answer = await signIn(app, { email: written, password });
        expect(outcome(answer), written).to.equal('200');
      }
    });

    it('makes a new session every time, also for a browser that has one', async () => {
      const { app } = await adasWorld();
      const idOf = async (token: string) =>
        (await app.post('/auth/check').set(bearer(token)).expect(200)).body.session.id;

      const first = await signIn(app).expect(200);
      const second = await signIn(app)
        .set({ Cookie: headerOf(cookiesOf(first)) })
        .expect(200);
      const ids = await Promise.all([first, second].map(({ body }) => idOf(body.accessToken)));

      expect(new Set(ids).size).to.equal(2);
    });

    it('succeeds for all of several people at once who know it', async () => {
      const { app } = await adasWorld();

      const answers = await Promise.all(times(6, () => signIn(app)));

      expect(countBy(answers, 'status')).to.deep.equal({ 200: 6 });
      expect(await sessions().countDocuments()).to.equal(6);
    });
  });

  describe('refuses', () => {
    it('a wrong password, an unknown address, a deactivated user and one without a password alike', async () => {
      const { app, shared } = await adasWorld();
      await createUser({ ...shared, email: 'none@example.com', emailVerified: true });
      const { _id, ...stored } = kept?.stored ?? {};
      await users().insertOne({ ...stored, email: 'gone@example.com', status: 'inactive' });

      const answers = [];
      for (const body of [
        { email, password: 'wrong password' },
        { email: 'nobody@example.com', password },
        { email: 'gone@example.com', password },
        { email: 'none@example.com', password },
      ]) {
        const { status, body: problem, headers } = await signIn(app, body);
        const { requestId, ...said } = problem;
        const { date, 'x-request-id': id, ...sent } = headers;
        expect(requestId).to.equal(id);
        answers.push({ status, said, sent });
      }

      expect(answers[0]).to.have.nested.property('said.code', 'credentials_invalid');
      expect(answers[0]).to.have.nested.property('sent.www-authenticate');
      for (const answer of answers) expect(answer).to.deep.equal({ ...answers[0], status: 401 });
      expect(await sessions().countDocuments()).to.equal(0);
    });

    it('an unverified address with 403, but only after the right password', async () => {
      const { app } = await adasWorld();
      await users().updateOne({ email }, { $set: { emailVerified: false } });

      expect(outcome(await signIn(app))).to.equal('403 email_unverified');
      const wrong = await signIn(app, { email, password: 'wrong password' });
      expect(outcome(wrong)).to.equal('401 credentials_invalid');
      expect(await sessions().countDocuments()).to.equal(0);
    });

    it('addresses that only look like the right one with 401', async () => {
      const { app } = await adasWorld();

      for (const lookalike of [
        'аda@example.com',
        'ada@exаmple.com',
        'ada+1@example.com',
        'ada@example.com.co',
      ])
        expect(outcome(await signIn(app, { email: lookalike, password })), lookalike).to.match(/^401/);
    });

    it('addresses whose canonical form is no address, or another one, with 400 or 401', async () => {
      const { app } = await adasWorld();
      const odd = [
        '\ufdfa@example.com',
        'ada@xn--a.com',
        '\ufe59ada@example.com',
        'ada\uff20example.com@evil.com',
      ];

      const answers = await Promise.all(odd.map((address) => signIn(app, { email: address, password })));

      for (const answer of answers) expect(outcome(answer)).to.match(/^40[01] /);
    });

    const valid = JSON.stringify(credentials).slice(1, -1);
    const invalid: [body: string, ...paths: string[]][] = [
      ['{}', 'email', 'password'],
      ...['["ada@example.com"]', '{"$ne":""}', '{"$gt":""}', '1', 'null', 'true', '""', '"ada"'].map(
        (value): [string, string] => [`{"email":${value},"password":"${password}"}`, 'email'],
      ),
      ['{"email":"ada@example.com,bob@example.com","password":"x"}', 'email'],
      ['{"email":"ada@example.com\\r\\nBcc: bob@example.com","password":"x"}', 'email'],
      [`{"email":"${'a'.repeat(250)}@example.com","password":"x"}`, 'email'],
      ...['["lovelace-1815"]', '{"$ne":""}', '{"$regex":".*"}', '1815', 'null', 'true', '""', `"${'x'.repeat(257)}"`].map(
        (value): [string, string] => [`{"email":"${email}","password":${value}}`, 'password'],
      ),
      [`{${valid},"tokenDelivery":"header"}`, 'tokenDelivery'],
      [`{${valid},"tokenDelivery":["body"]}`, 'tokenDelivery'],
      [`{${valid},"role":"admin"}`, 'role'],
      [`{${valid},"emailVerified":true}`, 'emailVerified'],
      [`{${valid},"tenantId":"1","plan":"pro"}`, 'tenantId', 'plan'],
      [`{${valid},"$where":"sleep(1000)"}`, '$where'],
      [`{${valid},"user.roles":["admin"]}`, 'user.roles'],
      [`{${valid},"constructor":{"prototype":{}}}`, 'constructor'],
      ['null', ''], ['[]', ''], ['"text"', ''], ['1', ''], ['true', ''],
      ['{', ''], ['{"email":}', ''], ['nonsense', ''], [`{${valid}`, ''], [`{${valid}}}`, ''], ['\u0000', ''],
      ['['.repeat(50_000), ''], [`${'['.repeat(40_000)}${']'.repeat(40_000)}`, ''],
    ]; // biome-ignore format: a table

    it('wrong types, unknown fields and malformed JSON with 400, naming the path', async () => {
      const { app } = await adasWorld();

      for (const [text, ...expected] of invalid) {
        const answer = await app.post('/auth/sign-in').type('json').send(text);
        const said = { outcome: outcome(answer), paths: paths(answer) };
        const wanted = { outcome: '400 validation_failed', paths: expected };
        expect(said, text.slice(0, 80)).to.deep.equal(wanted);
      }
    });

    it('__proto__ in the body with 400', async () => {
      const { app } = await adasWorld();

      for (const text of [
        `{${valid},"__proto__":{"tokenDelivery":"body"}}`,
        `{"__proto__":{${valid}}}`,
        `{${valid},"__proto__":1}`,
      ]) {
        const answer = await app.post('/auth/sign-in').type('json').send(text);
        expect(outcome(answer), text).to.equal('400 validation_failed');
      }
    });

    it('unknown query keys with 400, naming each', async () => {
      const { app } = await adasWorld();

      for (const key of ['next', '_method', '__proto__', 'email']) {
        const answer = await app.post(`/auth/sign-in?${key}=x`).send(credentials);
        expect(outcome(answer), key).to.equal('400 validation_failed');
        expect(paths(answer)).to.deep.equal([key]);
      }
    });

    it('a body of 1 MB with 413, before it hashes anything', async () => {
      const { app } = await adasWorld();

      const answer = await signIn(app, { email, password: 'x'.repeat(1_000_000) });

      expect(outcome(answer)).to.equal('413 body_too_large');
    });

    it("a body of another type than JSON with 415, and from another site's page with 403", async () => {
      const { app } = await adasWorld();
      const post = (headers: Record<string, string>) =>
        app.post('/auth/sign-in').set(headers).send(JSON.stringify(credentials));

      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x',
      ]) {
        const headers = { 'Content-Type': type };
        expect(outcome(await post(headers)), type).to.equal('415 media_type');
        const foreign = await post({ ...headers, Origin: 'https://evil.example' });
        expect(outcome(foreign), type).to.equal('403 cross_origin');
      }
      expect(await sessions().countDocuments()).to.equal(0);
    });

    it("requests from another site's page with 403, to every route under /auth and whatever the credential", async () => {
      const { app } = await adasWorld({ allowedOrigins: ['https://friend.example'] });
      const { body } = await signIn(app).set({ Origin: 'https://friend.example' }).expect(200);
      const foreign: Record<string, string>[] = [
        { Origin: 'https://evil.example' },
        { Origin: 'null' },
        { 'Sec-Fetch-Site': 'cross-site' },
        { 'Sec-Fetch-Site': 'same-site' },
      ];

      for (const headers of foreign) {
        expect(outcome(await signIn(app).set(headers))).to.equal('403 cross_origin');
        for (const path of ['/auth/check', '/auth/sign-out']) {
          const answer = await app.post(path).set({ ...headers, ...bearer(body.accessToken) });
          expect(outcome(answer), path).to.equal('403 cross_origin');
        }
      }
      expect(await me(app, body.accessToken)).to.equal('200');
    });

    it('every other method with 405 and Allow, whatever method a header or the query asks for', async () => {
      const { app } = await adasWorld();

      for (const method of ['get', 'put', 'patch', 'delete'] as const) {
        const answer = await app[method]('/auth/sign-in').set({ 'X-HTTP-Method-Override': 'POST' });
        expect(outcome(answer), method).to.equal('405 method_not_allowed');
        expect(answer.headers.allow).to.equal('POST');
      }
      const overridden = await signIn(app).set({
        'X-HTTP-Method-Override': 'GET',
        'X-Method-Override': 'PUT',
      });
      expect(outcome(overridden)).to.equal('200');
    });
  });

  describe('passwords', () => {
    type Case = [what: string, set: string, tried: string];
    const prefix = 'x'.repeat(72);
    const two: Case[] = [
      ['after 72 common bytes', `${prefix}1`, `${prefix}2`],
      ['after a NUL', 'password\u00001', 'password\u00002'],
      ['in case', 'Correct horse', 'correct horse'],
      ['in a space at the end', 'correct horse', 'correct horse '],
    ];
    const one: Case[] = [
      ['of 64 characters', 'a'.repeat(64), 'a'.repeat(64)],
      ['of 256 characters beyond ASCII', '\u{1f511}'.repeat(128), '\u{1f511}'.repeat(128)],
      ['composed, then decomposed', 'caf\u00e9-\u00c5ngstr\u00f6m', 'cafe\u0301-A\u030angstro\u0308m'],
      ['decomposed, then composed', 'cafe\u0301-A\u030angstro\u0308m', 'caf\u00e9-\u00c5ngstr\u00f6m'],
    ];
    const said = async (cases: Case[]) => {
      const { app, shared } = await adasWorld();
      const answers = cases.map(async ([what, set, tried], index) => {
        const address = `person${index}@example.com`;
        await createUser({ ...shared, email: address, password: set, emailVerified: true });
        return [what, outcome(await signIn(app, { email: address, password: tried }))];
      });
      return Object.fromEntries(await Promise.all(answers));
    };

    it('are two wherever they differ, also after 72 common bytes or a NUL', async () => {
      for (const [what, answer] of Object.entries(await said(two)))
        expect(answer, what).to.equal('401 credentials_invalid');
    });

    it('may be long, beyond ASCII, and written in either Unicode form', async () => {
      for (const [what, answer] of Object.entries(await said(one))) expect(answer, what).to.equal('200');
    });

    const storedPassword = async () => (await users().findOne({ email }))?.password;

    it('are hashed anew at sign-in when the cost has grown', async () => {
      const { shared } = await adasWorld();
      const app = await serveAuth({ ...shared, passwordCost: 11 });
      const before = await storedPassword();

      const { body } = await signIn(app).expect(200);

      const after = await storedPassword();
      expect([before.hash.slice(0, 7), after.hash.slice(0, 7)]).to.deep.equal(['$2b$10$', '$2b$11$']);
      expect(await me(app, body.accessToken)).to.equal('200');
      await signIn(app).expect(200);
      expect(await storedPassword()).to.deep.equal(after);
    });

    it('keep verifying under older peppers, and move to the newest one at sign-in', async () => {
      const { shared } = await adasWorld();
      const [older, newer] = ['an older pepper of at least 32 bytes', 'a newer pepper of at least 32 bytes.'];
      const hashes = [await storedPassword()];

      for (const peppers of [[older], [newer, older]]) {
        await signIn(await serveAuth({ ...shared, peppers })).expect(200);
        hashes.push(await storedPassword());
      }

      expect(hashes[0].pepperId).to.equal(null);
      expect(new Set(hashes.map(({ pepperId }) => pepperId)).size).to.equal(3);
      await signIn(await serveAuth({ ...shared, peppers: [newer] })).expect(200);
      const refused = await signIn(await serveAuth({ ...shared, peppers: [older] }));
      expect(outcome(refused)).to.equal('401 credentials_invalid');
    });

    it('that change during sign-ins leave none of those sessions alive', async () => {
      const { app, shared } = await adasWorld();
      const changedTo = 'another password';
      await createUser({ ...shared, email: 'donor@example.com', password: changedTo });
      const donor = await users().findOne({ email: 'donor@example.com' });

      let answered = 0;
      const signIns = times(10, async () => {
        const answer = await signIn(app);
        answered += 1;
        return answer;
      });
      await until(() => answered >= 3);
      const change = { $set: { password: donor?.password }, $inc: { credentialEpoch: 1 } };
      await users().updateOne({ email }, change);
      const answers = await Promise.all(signIns);

      const { 200: admitted = 0, 401: refused = 0 } = countBy(answers, 'status');
      expect([admitted >= 3, admitted + refused]).to.deep.equal([true, 10]);
      for (const { status, body } of answers) {
        if (status === 401) expect(body.code).to.equal('credentials_invalid');
        else expect(await me(app, body.accessToken)).to.equal('401 session_revoked');
      }
      const { body } = await signIn(app, { email, password: changedTo }).expect(200);
      expect(await me(app, body.accessToken)).to.equal('200');
    });
  });
});

describe('POST /auth/sign-out', () => {
  const expectCleared = (answer: Response) => {
    expect(answer.status).to.equal(204);
    expect(answer.text).to.equal('');
    const cookies = cookiesOf(answer);
    expect(cookies).to.have.all.keys('__Host-access_token', '__Host-refresh_token');
    for (const { value, expires, attributes } of Object.values(cookies)) {
      expect([value, expires <= 1000]).to.deep.equal(['', true]);
      expect(attributes).to.deep.equal(['httponly', 'path=/', 'samesite=lax', 'secure']);
    }
  };
  const secure = { cookies: { secure: true } };

  it('answers 204 and clears both cookies without a credential, with nonsense, and twice', async () => {
    const { app } = await adasWorld(secure);
    const { body } = await signIn(app).expect(200);
    const token = body.accessToken;
    const credentials: Record<string, string>[] = [
      {},
      bearer('nonsense'),
      { Authorization: 'Bearer' },
      { Authorization: 'Basic YTpi' },
      { Cookie: '__Host-access_token=nonsense; __Host-refresh_token=nonsense' },
      { Cookie: `__Host-refresh_token=${'0'.repeat(24)}.0.${'A'.repeat(43)}.${'A'.repeat(43)}` },
      bearer(token),
      bearer(token),
    ];

    for (const headers of credentials) expectCleared(await app.post('/auth/sign-out').set(headers));
    expect(await me(app, token)).to.equal('401 session_revoked');
  });

  it('refuses everywhere but true, and what it does not know, with 400', async () => {
    const { app } = await adasWorld();
    const { body } = await signIn(app).expect(200);

    for (const [sent, path] of [
      [{ everywhere: false }, 'everywhere'],
      [{ everywhere: 'true' }, 'everywhere'],
      [{ everywhere: 1 }, 'everywhere'],
      [{ userId: body.user.id }, 'userId'],
      [['everywhere'], ''],
    ] as const) {
      const answer = await app.post('/auth/sign-out').set(bearer(body.accessToken)).send(sent);
      expect(outcome(answer)).to.equal('400 validation_failed');
      expect(paths(answer)).to.deep.equal([path]);
    }
    expect(await me(app, body.accessToken)).to.equal('200');
  });

  it('ends this session at once, and no other', async () => {
    const { app } = await adasWorld();
    const [mine, other] = await Promise.all([signIn(app).expect(200), signIn(app).expect(200)]);
    expect(await me(app, mine.body.accessToken)).to.equal('200');

    await app.post('/auth/sign-out').set(bearer(mine.body.accessToken)).expect(204);

    expect(await me(app, mine.body.accessToken)).to.equal('401 session_revoked');
    expect(await me(app, other.body.accessToken)).to.equal('200');
  });

  it('ends the session by the refresh cookie alone, when the access token is long gone', async () => {
    const { app } = await adasWorld(secure);
    const answer = await signIn(app).expect(200);
    const refresh = headerOf(cookiesOf(answer), '__Host-refresh_token');

    expectCleared(await app.post('/auth/sign-out').set({ Cookie: refresh }));

    expect(await me(app, answer.body.accessToken)).to.equal('401 session_revoked');
  });

  it('ends the session of a client without cookies by its refresh token, when the access token is long gone', async () => {
    const { app } = await adasWorld();
    const { body } = await signIn(app, { ...credentials, tokenDelivery: 'body' }).expect(200);
    await app.post('/auth/sign-out').send({ refreshToken: body.refreshToken }).expect(204);
    await app.post('/auth/refresh').send({ refreshToken: body.refreshToken }).expect(401);
  });

  it('ends every session of the user, and of nobody else, when asked for everywhere', async () => {
    const { app, shared } = await adasWorld();
    const bob = { email: 'bob@example.com', password: 'builder-1999' };
    await createUser({ ...shared, ...bob, emailVerified: true });
    const answers = await Promise.all([signIn(app), signIn(app), signIn(app), signIn(app, bob)]);
    const tokens: string[] = answers.map(({ body }) => body.accessToken);
    const states = () => Promise.all(tokens.map((token) => me(app, token)));
    expect(await states()).to.deep.equal(['200', '200', '200', '200']);

    const everywhere = { everywhere: true };
    await app
      .post('/auth/sign-out')
      .set(bearer(tokens[0] as string))
      .send(everywhere)
      .expect(204);

    const ended = '401 session_revoked';
    expect(await states()).to.deep.equal([ended, ended, ended, '200']);
  });

  it('is heard of by another process, which knew the session already', async () => {
    const { app, shared } = await adasWorld();
    const monitored = { monitorCommands: true };
    const connection = await connect(undefined, monitored);
    let reads = 0;
    connection.getClient().on('commandStarted', ({ command }) => {
      if (command.aggregate === 'tollgate_sessions') reads += 1;
    });
    const other = await serveAuth({ ...shared, connection });
    const { body } = await signIn(app).expect(200);
    await until(async () => {
      reads = 0;
      return (await me(other, body.accessToken)) === '200' && reads === 0; // answered from memory
    });

    await app.post('/auth/sign-out').set(bearer(body.accessToken)).expect(204);

    await until(async () => (await me(other, body.accessToken)) === '401 session_revoked');
  });
});

describe('POST /auth/check', () => {
  it('answers who is signed in, and by which session', async () => {
    const { app, ada } = await adasWorld();
    const answer = await signIn(app).set({ 'User-Agent': 'a browser' }).expect(200);

    for (const headers of [bearer(answer.body.accessToken), { Cookie: headerOf(cookiesOf(answer)) }]) {
      const { body } = await app.post('/auth/check').set(headers).expect(200);
      expect(body).to.have.all.keys('authenticated', 'user', 'session');
      expect(body).to.deep.include({ authenticated: true, user: ada });
      expect(body.session).to.include({ userAgent: 'a browser', current: true });
      expect(body.session).to.include.all.keys('id', 'ip', 'createdAt', 'lastUsedAt', 'expiresAt');
      const life = Date.parse(body.session.expiresAt) - Date.parse(body.session.createdAt);
      expect(life).to.equal(2_592_000_000);
      expect(JSON.stringify(body)).not.to.match(/hash|epoch|revoked|macKey|generation/i);
    }
  });

  it('refuses with 401 when nobody is, also by the refresh cookie alone', async () => {
    const { app } = await adasWorld();
    const refresh = headerOf(cookiesOf(await signIn(app).expect(200)), 'refresh_token');

    expect(outcome(await app.post('/auth/check'))).to.equal('401 token_missing');
    expect(outcome(await app.post('/auth/check').set(bearer('nonsense')))).to.equal('401 token_invalid');
    expect(outcome(await app.post('/auth/check').set({ Cookie: refresh }))).to.equal('401 token_missing');
  });
});
