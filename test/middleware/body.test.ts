import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import Joi from 'joi';
import Koa, { type Middleware } from 'koa';
import { body, problems, query } from '../../lib/index.js';
import { serve } from '../support/world.js';

const required = { name: Joi.string().max(100_000) };
const optional = {
  age: Joi.number().integer(),
  admin: Joi.boolean(),
  tags: Joi.array().items(Joi.string()),
  address: Joi.object({ city: Joi.string().required() }),
};
const limit = 100_000;
const json = 'application/json';

interface Sent {
  readonly type?: string;
  readonly encoding?: string;
  readonly chunked?: boolean;
  readonly path?: string;
}

/** Posts exactly these bytes to an application that answers with the body it was given. */
async function echo(upstream: Middleware[] = [], guard = body(required, optional) as Middleware) {
  const app = new Koa();
  app.use(problems());
  for (const middleware of upstream) app.use(middleware);
  app.use(guard).use((ctx) => {
    ctx.body = { body: (ctx.request as { body?: unknown }).body };
  });
  const { port } = (await serve(app)).address() as AddressInfo;

  return async function post(
    content: string | Buffer,
    { type = json, encoding, chunked, path = '/' }: Sent = {},
  ) {
    const bytes = Buffer.from(content);
    const headers = {
      ...(type && { 'Content-Type': type }),
      ...(encoding && { 'Content-Encoding': encoding }),
      ...(!chunked && { 'Content-Length': bytes.length }),
    };
    const answer = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const sent = httpRequest({ port, path, method: 'POST', headers, agent: false }, (response) => {
        text(response).then(
          (received) => resolve({ status: response.statusCode ?? 0, text: received }),
          reject,
        );
      });
      sent.on('error', reject);
      for (let start = 0; start < bytes.length; start += 16_384)
        sent.write(bytes.subarray(start, start + 16_384));
      sent.end();
    });
    return { status: answer.status, body: JSON.parse(answer.text) };
  };
}

/** Another middleware that has parsed the body already. */
const parsedAs =
  (value: unknown): Middleware =>
  (ctx, next) => {
    Object.assign(ctx.request, { body: value });
    return next();
  };

/** A valid body of exactly so many bytes. */
const ofLength = (length: number) => JSON.stringify({ name: 'x'.repeat(length - '{"name":""}'.length) });

/** The paths that a refusal names. */
const paths = (answer: { body: { code: string; errors?: { path: string; message: string }[] } }) => {
  expect(answer.body.code).to.equal('validation_failed');
  for (const { message } of answer.body.errors ?? []) expect(message).to.be.a('string').and.not.equal('');
  return answer.body.errors?.map(({ path }) => path);
};

describe('body()', () => {
  it('gives the handler what has all required fields and only known ones', async () => {
    const post = await echo();
    for (const valid of [
      { name: 'Ada' },
      { name: 'Ada', age: 36, admin: false, tags: ['a', 'b'], address: { city: 'London' } },
    ]) {
      const answer = await post(JSON.stringify(valid));
      expect(answer).to.deep.equal({ status: 200, body: { body: valid } });
    }
  });

  for (const [what, content, named] of [
    ['a missing field', {}, ['name']],
    ['an unknown field', { name: 'Ada', role: 'admin' }, ['role']],
    [
      'an unknown field that a prototype has',
      { name: 'Ada', constructor: 1, toString: 2 },
      ['constructor', 'toString'],
    ],
    ['a number where a text belongs', { name: 1 }, ['name']],
    ['null where a text belongs', { name: null }, ['name']],
    ['an empty text', { name: '' }, ['name']],
    ['an array where a text belongs', { name: ['Ada'] }, ['name']],
    ['an object where a text belongs', { name: { $ne: null } }, ['name']],
    ['a numeric text where a number belongs', { name: 'Ada', age: '36' }, ['age']],
    ['a fraction where an integer belongs', { name: 'Ada', age: 36.5 }, ['age']],
    ['a number beyond 2^53 - 1', { name: 'Ada', age: 2 ** 53 }, ['age']],
    ['a text where a boolean belongs', { name: 'Ada', admin: 'true' }, ['admin']],
    ['a single value where an array belongs', { name: 'Ada', tags: 'a' }, ['tags']],
    ['JSON in a text where an array belongs', { name: 'Ada', tags: '["a"]' }, ['tags']],
    ['a wrong item', { name: 'Ada', tags: ['a', 1] }, ['tags.1']],
    ['an unknown field further down', { name: 'Ada', address: { city: 'London', zip: 1 } }, ['address.zip']],
    ['several problems at once', { name: 1, age: '2', role: 3 }, ['name', 'age', 'role']],
  ] as const) {
    it(`refuses ${what}, and names ${named.join(' and ')}`, async () => {
      const post = await echo();
      const answer = await post(JSON.stringify(content));
      expect(answer.status).to.equal(400);
      expect(paths(answer)).to.have.members(named);
    });
  }

  for (const content of ['{', '{"name":"Ada"', '{name:"Ada"}', 'name=Ada', ' ', 'undefined']) {
    it(`refuses ${JSON.stringify(content)}, which is no JSON, with the path ''`, async () => {
      const post = await echo();
      expect(paths(await post(content))).to.deep.equal(['']);
    });
  }

  for (const content of [
    'null',
    'true',
    '7',
    '"a text"',
    '"{\\"name\\":\\"Ada\\"}"',
    '[]',
    '[{"name":"Ada"}]',
  ]) {
    it(`refuses ${content}, which is no object, with the path ''`, async () => {
      const post = await echo();
      expect(paths(await post(content))).to.deep.equal(['']);
    });
  }

  it('takes an absent body for an empty object, however it is absent', async () => {
    const post = await echo([], body({}, optional) as Middleware);
    for (const sent of [{}, { type: '' }, { chunked: true }, { type: 'text/plain' }])
      expect(await post('', sent), JSON.stringify(sent)).to.deep.equal({ status: 200, body: { body: {} } });
    const strict = await echo();
    expect(paths(await strict('', { type: '' }))).to.deep.equal(['name']);
  });

  it('fills in a default, and needs no such field', async () => {
    const post = await echo([], body({ size: Joi.number().default(0), name: Joi.string() }) as Middleware);
    expect((await post('{"name":"Ada"}')).body).to.deep.equal({ body: { name: 'Ada', size: 0 } });
  });

  describe('and the size', () => {
    it('takes 100 kB and refuses one byte more, with and without its length said', async () => {
      const post = await echo();
      for (const chunked of [false, true]) {
        expect((await post(ofLength(limit), { chunked })).status).to.equal(200);
        const { status, body } = await post(ofLength(limit + 1), { chunked });
        expect({ status, code: body.code }).to.deep.equal({ status: 413, code: 'body_too_large' });
      }
    });

    it('counts bytes, not characters', async () => {
      const post = await echo();
      expect((await post(JSON.stringify({ name: 'é'.repeat(limit / 2) }))).status).to.equal(413);
    });

    it('counts what a compressed body inflates to, and stops there', async () => {
      const post = await echo();
      const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
      expect(bomb.length).to.be.lessThan(limit);
      for (const chunked of [false, true]) {
        const { status, body } = await post(bomb, { encoding: 'gzip', chunked });
        expect({ status, code: body.code }).to.deep.equal({ status: 413, code: 'body_too_large' });
      }
      expect((await post(gzipSync(ofLength(limit)), { encoding: 'gzip' })).status).to.equal(200);
      expect((await post(gzipSync(ofLength(limit + 1)), { encoding: 'gzip' })).status).to.equal(413);
    });
  });

  describe('and the encoding', () => {
    const content = JSON.stringify({ name: 'Ada' });

    it('reads gzip, deflate and identity', async () => {
      const post = await echo();
      for (const [encoding, bytes] of [
        ['gzip', gzipSync(content)],
        ['deflate', deflateSync(content)],
        ['identity', content],
      ] as const)
        expect((await post(bytes, { encoding })).body).to.deep.equal({ body: { name: 'Ada' } });
    });

    it('refuses others with 415 media_type', async () => {
      const post = await echo();
      for (const encoding of ['zstd', 'compress', 'gzip, br']) {
        const { status, body } = await post(brotliCompressSync(content), { encoding });
        expect({ status, code: body.code }, encoding).to.deep.equal({ status: 415, code: 'media_type' });
      }
    });

    it("refuses what is not encoded as it says, and what was cut off, with the path ''", async () => {
      const post = await echo();
      for (const bytes of [Buffer.from(content), gzipSync(content).subarray(0, 20)])
        expect(paths(await post(bytes, { encoding: 'gzip' }))).to.deep.equal(['']);
    });
  });

  describe('and the media type', () => {
    for (const type of [
      json,
      'application/json; charset=utf-8',
      'APPLICATION/JSON',
      'application/merge-patch+json',
    ])
      it(`takes ${type}`, async () => {
        const post = await echo();
        expect((await post('{"name":"Zoë"}', { type })).body).to.deep.equal({ body: { name: 'Zoë' } });
      });

    it('reads UTF-8 whatever charset is named: JSON has no other', async () => {
      const post = await echo();
      const { body } = await post('{"name":"Zoë"}', { type: `${json}; charset=iso-8859-1` });
      expect(body).to.deep.equal({ body: { name: 'Zoë' } });
    });

    for (const type of [
      '',
      'text/plain',
      'text/json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'jsonp',
    ])
      it(`refuses ${type || 'none at all'} with 415 media_type`, async () => {
        const post = await echo();
        const { status, body } = await post('{"name":"Ada"}', { type });
        expect({ status, code: body.code }).to.deep.equal({ status: 415, code: 'media_type' });
      });
  });

  describe('and what may come of a body', () => {
    it('lets nobody in by __proto__', async () => {
      const post = await echo();
      for (const content of [
        '{"name":"Ada","__proto__":{"admin":"yes"}}',
        '{"name":"Ada","\\u005f_proto__":{"admin":"yes"}}',
        '{"name":"Ada","address":{"city":"London","__proto__":{"zip":1}}}',
      ])
        expect((await post(content)).status, content).to.equal(400);
      expect({}).not.to.have.property('admin');
    });

    it('lets nobody in by __proto__ of a body that was parsed upstream', async () => {
      const post = await echo([parsedAs(JSON.parse('{"name":"Ada","__proto__":{"admin":"yes"}}'))]);
      expect(paths(await post(''))).to.deep.equal(['__proto__']);
    });

    it('refuses 45,000 levels of nesting like any wrong value, and stays on its feet', async () => {
      const post = await echo();
      const deep = '['.repeat(45_000) + ']'.repeat(45_000);
      expect(paths(await post(`{"name":${deep}}`))).to.deep.equal(['name']);
      expect(paths(await post(`{"name":"Ada","nested":${deep}}`))).to.deep.equal(['nested']);
      expect(paths(await post(deep))).to.deep.equal(['']);
      expect((await post('{"name":"Ada"}')).status).to.equal(200);
    });
  });

  describe('and a body that was parsed upstream', () => {
    it('takes it as it is, whatever was sent', async () => {
      const post = await echo([parsedAs({ name: 'Ada' })]);
      expect((await post('name=Bob', { type: 'text/plain' })).body).to.deep.equal({ body: { name: 'Ada' } });
    });

    it('holds it to the same rules', async () => {
      const post = await echo([parsedAs({ name: 1, role: 'admin' })]);
      expect(paths(await post(''))).to.have.members(['name', 'role']);
    });

    it('fills in a default without touching the original', async () => {
      const original = Object.freeze({ name: 'Ada' });
      const sized = body({ name: Joi.string() }, { size: Joi.number().default(1) }) as Middleware;
      const post = await echo([parsedAs(original)], sized);
      expect((await post('')).body).to.deep.equal({ body: { name: 'Ada', size: 1 } });
    });
  });

  describe('and the query', () => {
    it('refuses every parameter, for it has no use for any', async () => {
      const post = await echo();
      const answer = await post('{"name":"Ada"}', { path: '/?dry=1&name=Bob' });
      expect(answer.status).to.equal(400);
      expect(paths(answer)).to.have.members(['dry', 'name']);
      expect((await post('{"name":"Ada"}', { path: '/?' })).status).to.equal(200);
    });

    it('leaves it to query() where that is upstream', async () => {
      const post = await echo([query({}, { dry: Joi.boolean() }) as Middleware]);
      expect((await post('{"name":"Ada"}', { path: '/?dry=true' })).status).to.equal(200);
      expect(paths(await post('{"name":"Ada"}', { path: '/?wet=true' }))).to.deep.equal(['wet']);
    });
  });
});
