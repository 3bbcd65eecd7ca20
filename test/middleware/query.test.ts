import { expect } from 'chai';
import Joi from 'joi';
import Koa, { type Middleware } from 'koa';
import { problems, query } from '../../lib/index.js';
import { clientsOf, serve } from '../support/world.js';

const schemas = {
  required: { limit: Joi.number().integer().min(1).max(100).default(25) },
  optional: { name: Joi.string().max(10), since: Joi.date().iso(), all: Joi.boolean() },
};

/** Answers with the query that a handler is given. */
async function echo(guard: Middleware = query(schemas.required, schemas.optional)) {
  const app = new Koa();
  app.use(problems()).use(guard);
  app.use((ctx) => {
    ctx.body = ctx.state.query;
  });
  const { anyone } = clientsOf(await serve(app));
  return (search: string) => anyone().get(`/${search}`);
}

interface Refusal {
  readonly code: string;
  readonly errors: readonly { path: string; message: string }[];
}

const paths = ({ body: { code, errors } }: { body: Refusal }) => {
  expect(code).to.equal('validation_failed');
  for (const { message } of errors) expect(message).to.be.a('string').and.not.equal('');
  return errors.map(({ path }) => path);
};

describe('query()', () => {
  for (const [search, expected] of [
    ['', { limit: 25 }],
    ['?', { limit: 25 }],
    ['?limit=7', { limit: 7 }],
    ['?limit=100&name=Ada%20L&all=true', { limit: 100, name: 'Ada L', all: true }],
    ['?all=false', { limit: 25, all: false }],
    ['?name=007', { limit: 25, name: '007' }],
    ['?since=2026-01-02', { limit: 25, since: '2026-01-02T00:00:00.000Z' }],
  ] as const)
    it(`reads ${search || 'no query'} as ${JSON.stringify(expected)}`, async () => {
      const get = await echo();
      await get(search).expect(200, expected);
    });

  for (const [what, search, named] of [
    ['an unknown key', '?offset=1', ['offset']],
    ['a key in another case', '?Limit=1', ['Limit']],
    ['a key with brackets', '?limit[gt]=1', ['limit[gt]']],
    ['a key without a name', '?=1', ['']],
    ['the key __proto__', '?__proto__=x', ['__proto__']],
    ['the key __proto__ given twice', '?__proto__=x&__proto__=y', ['__proto__']],
    ['a number out of bounds', '?limit=101', ['limit']],
    ['a fraction', '?limit=1.5', ['limit']],
    ['an empty number', '?limit=', ['limit']],
    ['a text that is no number', '?limit=1x', ['limit']],
    ['a number beyond 2^53 - 1', '?limit=9007199254740993', ['limit']],
    ['a text that is too long', '?name=12345678901', ['name']],
    ['a text that is no boolean', '?all=1', ['all']],
    ['a text that is no date', '?since=yesterday', ['since']],
    ['a parameter given twice', '?name=a&name=b', ['name']],
    ['a number given twice', '?limit=1&limit=1', ['limit']],
    ['several at once', '?limit=x&name=a&name=b&offset=1', ['limit', 'name', 'offset']],
  ] as const)
    it(`refuses ${what}, ${search}`, async () => {
      const get = await echo();
      const answer = await get(search).expect(400).expect('Content-Type', 'application/problem+json');
      expect(paths(answer)).to.have.members(named);
    });

  it('refuses a required parameter that is missing', async () => {
    const get = await echo(query({ id: Joi.string() }));
    expect(paths(await get('').expect(400))).to.deep.equal(['id']);
    await get('?id=1').expect(200, { id: '1' });
  });

  it('leaves the query of Koa as it was', async () => {
    const app = new Koa();
    app.use(query({ limit: Joi.number().default(25) })).use((ctx) => {
      ctx.body = { state: ctx.state.query, own: ctx.query };
    });
    const { anyone } = clientsOf(await serve(app));
    await anyone()
      .get('/?limit=3')
      .expect(200, { state: { limit: 3 }, own: { limit: '3' } });
  });
});
