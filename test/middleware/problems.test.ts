import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import { expect } from 'chai';
import Koa, { type Middleware } from 'koa';
import mongoose from 'mongoose';
import { type ProblemsOptions, problems, requestId, TollgateError } from '../../lib/index.js';
import { clientsOf, serve } from '../support/world.js';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const problemType = 'application/problem+json';
const secret = 'hunter2';

/** An application whose handler does what the test says, and the errors that it emits. */
async function appThat(handler: Middleware, options: ProblemsOptions = {}) {
  const app = new Koa();
  const emitted: unknown[] = [];
  app.on('error', (error) => emitted.push(error));
  app.use(problems(options)).use(handler);
  const server = await serve(app);
  const { anyone, withHeaders } = clientsOf(server);
  const { port } = server.address() as AddressInfo;
  return { get: () => anyone().get('/'), withHeaders, emitted, url: `http://127.0.0.1:${port}/` };
}

const appThatThrows = (thrown: unknown, options?: ProblemsOptions) =>
  appThat(() => {
    throw thrown;
  }, options);

describe('problems()', () => {
  describe('of a refusal', () => {
    it('answers RFC 9457 problem details with the extras beside them', async () => {
      const refusal = new TollgateError('quota_exceeded', {
        detail: 'All ten are used up',
        headers: { 'Retry-After': '60' },
        feature: 'images',
        resetsAt: null,
      });
      const { get, emitted } = await appThatThrows(refusal);

      const { body, headers } = await get().expect(429);

      expect(body).to.deep.equal({
        type: 'urn:koa-tollgate:problem:quota_exceeded',
        title: 'The quota is used up',
        status: 429,
        code: 'quota_exceeded',
        detail: 'All ten are used up',
        requestId: headers['x-request-id'],
        feature: 'images',
        resetsAt: null,
      });
      expect(headers).to.include({
        'content-type': problemType,
        'retry-after': '60',
        'cache-control': 'no-store',
      });
      expect(emitted).to.deep.equal([]);
    });

    it('begins the type with what the application says', async () => {
      const { get } = await appThatThrows(new TollgateError('conflict'), { types: 'https://example.com/' });
      const { body } = await get().expect(409);
      expect(body.type).to.equal('https://example.com/conflict');
    });

    it('lets no extra take the place of a standard member', async () => {
      const impostors = { type: 'x', title: 'x', status: 200, code: 'x', requestId: 'x' };
      const { get } = await appThatThrows(new TollgateError('conflict', { ...impostors, blocker: 7 }));

      const { body, headers } = await get().expect(409);

      expect(body).to.include({ type: 'urn:koa-tollgate:problem:conflict', status: 409, code: 'conflict' });
      expect(body).to.include({ requestId: headers['x-request-id'], blocker: 7 });
      expect(body.title).not.to.equal('x');
    });

    it('keeps the detail and the cause of one of 500 and above to the log', async () => {
      const refusal = new TollgateError('internal', { detail: `team() needs ${secret}`, cause: secret });
      const { get, emitted } = await appThatThrows(refusal);

      const { text, headers } = await get().expect(500);

      expect(text + JSON.stringify(headers)).not.to.include(secret);
      expect(emitted).to.deep.equal([refusal]);
    });
  });

  describe('of an HttpError', () => {
    for (const [status, code, title] of [
      [400, 'bad_request', 'Bad Request'],
      [403, 'forbidden', 'Forbidden'],
      [404, 'not_found', 'Not Found'],
      [409, 'conflict', 'Conflict'],
      [418, 'i_m_a_teapot', "I'm a Teapot"],
    ] as const) {
      it(`answers ctx.throw(${status}) with ${code}`, async () => {
        const { get, emitted } = await appThat((ctx) => ctx.throw(status, 'Own words'));

        const { body, headers } = await get().expect(status).expect('Content-Type', problemType);

        const { 'x-request-id': requestId } = headers;
        const type = `urn:koa-tollgate:problem:${code}`;
        expect(body).to.deep.equal({ type, title, status, code, detail: 'Own words', requestId });
        expect(emitted).to.deep.equal([]);
      });
    }

    it('says how to authenticate with a 401, like every other 401', async () => {
      const { get } = await appThat((ctx) => ctx.throw(401));
      await get()
        .expect(401)
        .expect('WWW-Authenticate', /^Bearer/);
    });

    it('sends its headers', async () => {
      const { get } = await appThat((ctx) => ctx.throw(429, 'Slow', { headers: { 'Retry-After': '7' } }));
      await get().expect(429).expect('Retry-After', '7');
    });

    it('keeps a message that is not to be exposed to itself', async () => {
      const { get } = await appThat((ctx) => ctx.throw(400, secret, { expose: false }));
      const { text, body } = await get().expect(400);
      expect(text).not.to.include(secret);
      expect(body).not.to.have.property('detail');
    });

    it('keeps a status of 500 and above and its headers, and says nothing of the cause', async () => {
      const { get, emitted } = await appThat((ctx) =>
        ctx.throw(503, secret, { headers: { 'Retry-After': '7' } }),
      );

      const { text } = await get();

      expect(text).not.to.include(secret);
      expect(emitted).to.have.length(1);
      await get().expect(503).expect('Content-Type', problemType).expect('Retry-After', '7');
    });

    it('knows one of another copy of http-errors', async () => {
      const own = createRequire(import.meta.url);
      const koa = createRequire(own.resolve('koa'));
      const path = koa.resolve('http-errors');
      const cached = koa.cache[path];
      delete koa.cache[path];
      const createError = koa(path) as typeof import('http-errors');
      koa.cache[path] = cached;
      expect(createError.HttpError).not.to.equal(Koa.HttpError);

      const { get } = await appThatThrows(createError(422, 'Own words'));
      const { body } = await get().expect(422);

      expect(body).to.include({ code: 'unprocessable_entity', detail: 'Own words' });
    });

    it('takes an error for internal that only has a status', async () => {
      const { get } = await appThatThrows(Object.assign(new Error(secret), { status: 404 }));
      const { text } = await get().expect(500);
      expect(text).not.to.include(secret);
    });
  });

  describe('of anything else', () => {
    it('answers 500 internal, leaks nothing and emits the original', async () => {
      const error = Object.assign(new Error(secret), {
        headers: { 'X-Leak': secret },
        detail: secret,
        extras: { leak: secret },
        code: secret,
      });
      const { get, emitted } = await appThatThrows(error);

      const { body, text, headers } = await get().expect(500).expect('Content-Type', problemType);

      expect(Object.keys(body)).to.have.members(['type', 'title', 'status', 'code', 'requestId']);
      expect(body.code).to.equal('internal');
      expect(text + JSON.stringify(headers)).not.to.include(secret);
      expect(emitted).to.have.length(1);
      expect(emitted[0]).to.equal(error);
    });

    for (const thrown of ['a text', null, undefined, 7, { message: 'an object' }]) {
      it(`answers a thrown ${JSON.stringify(thrown)} with 500 internal, and emits it`, async () => {
        const { get, emitted } = await appThatThrows(thrown);
        const { body, headers } = await get().expect(500).expect('Content-Type', problemType);
        expect(body).to.include({ code: 'internal', requestId: headers['x-request-id'] });
        expect(emitted).to.have.length(1);
      });
    }

    it('answers a thrown text even where nobody listens but Koa', async () => {
      const app = new Koa();
      app.use(problems()).use(() => {
        throw 'a text';
      });
      const { anyone } = clientsOf(await serve(app));
      await anyone().get('/').expect(500).expect('Content-Type', problemType);
    });

    const named = (name: string, message = secret) => Object.assign(new Error(message), { name });
    for (const [what, error] of [
      ["the driver's network error", new mongoose.mongo.MongoNetworkError(secret)],
      ["another driver copy's network error", named('MongoNetworkError')],
      ['no server to select', named('MongooseServerSelectionError')],
      ['a full pool', named('MongoWaitQueueTimeoutError')],
      ['an operation that timed out', named('MongoOperationTimeoutError')],
      ['a primary that stepped down', Object.assign(new Error(secret), { code: 10_107 })],
      ['a call that waited in the buffer', named('MongooseError', '`users.find()` buffering timed out')],
    ] as const) {
      it(`answers ${what} with 503 database_unavailable and Retry-After`, async () => {
        const { get, emitted } = await appThatThrows(error);
        const { body, text } = await get().expect(503).expect('Retry-After', '1');
        expect(body.code).to.equal('database_unavailable');
        expect(text).not.to.include(secret).and.not.to.include('buffering');
        expect(emitted).to.deep.equal([error]);
      });
    }

    it('takes what the database did answer for internal', async () => {
      const duplicate = new mongoose.mongo.MongoServerError({ message: secret, code: 11_000 });
      const { get } = await appThatThrows(duplicate);
      const { text } = await get().expect(500);
      expect(text).not.to.include(secret);
    });
  });

  describe('of an empty answer', () => {
    const routed = async () => {
      const router = new Router();
      router.get('/', (ctx) => {
        ctx.body = 'here';
      });
      router.get('/gone', (ctx) => {
        ctx.status = 404;
        ctx.body = { own: 'words' };
      });
      const app = new Koa();
      app.use(problems()).use(router.routes()).use(router.allowedMethods());
      const server = await serve(app);
      const { port } = server.address() as AddressInfo;
      return { ...clientsOf(server), url: `http://127.0.0.1:${port}/` };
    };

    it("makes a problem of Koa's 404, and leaves one alone that says something", async () => {
      const { anyone } = await routed();
      const { body } = await anyone().get('/nowhere').expect(404).expect('Content-Type', problemType);
      expect(body).to.include({ code: 'not_found', status: 404 });
      await anyone().get('/gone').expect(404, { own: 'words' });
    });

    it("makes a 405 of Koa Router's 405 and 501, with Allow", async () => {
      const { url } = await routed();
      for (const method of ['DELETE', 'REPORT']) {
        const answer = await fetch(url, { method });
        expect(answer.status, method).to.equal(405);
        expect(answer.headers.get('allow')).to.equal('HEAD, GET');
        expect(await answer.json()).to.include({ code: 'method_not_allowed' });
      }
      const options = await fetch(url, { method: 'OPTIONS' });
      expect(options.status).to.equal(200);
    });

    it('answers HEAD with the same headers and no body', async () => {
      const { url } = await routed();
      const [get, head] = await Promise.all(
        ['GET', 'HEAD'].map((method) => fetch(`${url}nowhere`, { method })),
      );
      expect(await head?.text()).to.equal('');
      for (const name of ['content-type', 'content-length', 'cache-control'])
        expect(head?.headers.get(name), name).to.equal(get?.headers.get(name));
      expect(head?.status).to.equal(404);
    });

    it('leaves an answer alone that the handler writes by itself later', async function () {
      this.timeout(2_000);
      const { get } = await appThat((ctx) => {
        ctx.respond = false;
        setImmediate(() => ctx.res.writeHead(200, { 'Content-Type': 'text/plain' }).end('mine'));
      });
      await get().expect(200, 'mine');
    });
  });

  describe('and the answer that was under way', () => {
    it('drops the headers that spoke of it, and keeps those that speak of the client', async () => {
      const dropped = {
        ETag: '"1"',
        'Last-Modified': 'Thu, 01 Jan 1970 00:00:00 GMT',
        'Content-Encoding': 'gzip',
        'Content-Disposition': 'attachment',
        Location: '/elsewhere',
      };
      const limits = { RateLimit: '"images";r=9;t=60', 'RateLimit-Policy': '"images";q=10;w=60' };
      const { get } = await appThat((ctx) => {
        ctx.set({ ...dropped, ...limits, 'Cache-Control': 'public, max-age=60', 'Content-Length': '4' });
        ctx.body = 'done';
        ctx.throw(409);
      });

      const { headers, body } = await get().expect(409);

      for (const name of Object.keys(dropped)) expect(headers).not.to.have.property(name.toLowerCase());
      expect(headers).to.include({ 'cache-control': 'no-store', 'content-type': problemType });
      expect(headers).to.include({
        ratelimit: limits.RateLimit,
        'ratelimit-policy': limits['RateLimit-Policy'],
      });
      expect(body.code).to.equal('conflict');
    });

    it('is cut off, and the error emitted, when it had begun already', async function () {
      this.timeout(2_000);
      const error = new Error('too late');
      const { url, emitted } = await appThat((ctx) => {
        ctx.res.write('begun');
        throw error;
      });
      const answer = await fetch(url);
      const failure = await answer.text().catch((reason: Error) => reason);

      expect(emitted).to.deep.equal([error]);
      expect(failure).to.be.instanceOf(Error);
    });
  });

  describe('and the request id', () => {
    const echo: Middleware = (ctx) => {
      ctx.body = { seen: ctx.state.requestId };
    };

    for (const sane of ['a', 'req_1.2:3-4', 'x'.repeat(128)]) {
      it(`takes ${sane.length > 20 ? '128 characters' : sane}`, async () => {
        const { withHeaders } = await appThat(echo);
        const { body } = await withHeaders({ 'X-Request-Id': sane }).get('/').expect('X-Request-Id', sane);
        expect(body.seen).to.equal(sane);
      });
    }

    for (const [what, odd] of Object.entries({
      'one with a space': 'two words',
      'one that is empty': '',
      'one of 129 characters': 'x'.repeat(129),
      'one of 200 characters': 'x'.repeat(200),
      'one beyond ASCII': 'caf\u00e9',
      'one with markup': '<b>',
      'two in one header': 'a, b',
      'one with a tab': 'a\tb',
    })) {
      it(`replaces ${what}`, async () => {
        const { withHeaders } = await appThat(echo);
        const { body, headers } = await withHeaders({ 'X-Request-Id': odd }).get('/');
        expect(headers['x-request-id']).to.match(uuid);
        expect(body.seen).to.equal(headers['x-request-id']);
      });
    }

    it('is the same in every problem of the request, and given once with requestId() too', async () => {
      const app = new Koa();
      app.use(requestId()).use(problems());
      const { withHeaders, anyone } = clientsOf(await serve(app));
      const named = await withHeaders({ 'X-Request-Id': 'mine' }).get('/').expect(404);
      expect(named.body.requestId).to.equal('mine');
      const made = await anyone().get('/').expect(404);
      expect(made.body.requestId).to.match(uuid).and.to.equal(made.headers['x-request-id']);
    });
  });
});
