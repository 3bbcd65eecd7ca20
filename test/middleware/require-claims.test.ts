import Router from '@koa/router';
import { expect } from 'chai';
import Koa, { type Middleware } from 'koa';
import request from 'supertest';
import { authenticate, authRouter, problems, requireClaims } from '../../lib/index.js';
import { clientsOf, serve, world } from '../support/world.js';

type Claims = Parameters<typeof requireClaims>[0];

/** What is answered to somebody whose identity provider makes these claims, as an application's own sign-in found them. */
async function answerOf(required: Claims, claims: Record<string, unknown>): Promise<string> {
  const signIn: Middleware = (ctx, next) => {
    ctx.state = { user: { id: '1' }, claims };
    return next();
  };
  const app = new Koa().use(problems()).use(signIn);
  app.use(requireClaims(required) as Middleware).use((ctx) => {
    ctx.body = {};
  });
  const { status, body } = await request(await serve(app)).get('/');
  return status === 200 ? '200' : `${status} ${body.code} ${body.requiredClaims}`;
}

describe('requireClaims()', () => {
  it('admits whoever has all of the names, with any value but null', async () => {
    expect(await answerOf(['tier'], { tier: 'gold' })).to.equal('200');
    expect(await answerOf(['tier', 'beta'], { tier: '', beta: false, more: 1 })).to.equal('200');
    const missing = '403 claim_missing tier,beta';
    for (const claims of [{}, { tier: 'gold' }, { tier: 'gold', beta: null }, { tier: undefined, beta: 1 }]) {
      expect(await answerOf(['tier', 'beta'], claims)).to.equal(missing);
    }
  });

  it('admits whoever has the values, compared by their contents and without conversion', async () => {
    const required = { tier: 'gold', level: 3, groups: ['a', 'b'], address: { city: 'London' } };
    expect(await answerOf(required, { ...required, groups: ['a', 'b'], more: 1 })).to.equal('200');
    const others = [
      { tier: 'Gold' },
      { level: '3' },
      { groups: ['b', 'a'] },
      { groups: 'a' },
      { address: {} },
      { tier: ['gold'] },
    ];
    for (const other of others) {
      const answer = await answerOf(required, { ...required, ...other });
      expect(answer, JSON.stringify(other)).to.equal('403 claim_missing tier,level,groups,address');
    }
  });

  it('admits by a function only when it says true itself', async () => {
    const required = (rule: (value: unknown) => boolean) => ({ level: rule });
    expect(
      await answerOf(
        required((level) => Number(level) > 2),
        { level: 3 },
      ),
    ).to.equal('200');
    const refused = '403 claim_missing level';
    expect(
      await answerOf(
        required((level) => Number(level) > 2),
        { level: 2 },
      ),
    ).to.equal(refused);
    expect(
      await answerOf(
        required(() => true),
        {},
      ),
    ).to.equal(refused);
    const promises = required((async () => true) as unknown as () => boolean);
    expect(await answerOf(promises, { level: 3 })).to.equal(refused);
    const throws = required(() => {
      throw new Error('broken');
    });
    expect(await answerOf(throws, { level: 3 })).to.match(/^500 internal/);
  });

  it('does not take what every object has for a claim', async () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect(await answerOf([name], {}), name).to.equal(`403 claim_missing ${name}`);
    }
  });

  it('refuses our own sessions, which claim nothing, and nobody at all', async () => {
    const { shared } = await world();
    const router = new Router().get('/gold', authenticate(shared), requireClaims(['tier']), (ctx) => {
      ctx.body = {};
    });
    const app = new Koa();
    app.use(problems()).use(authRouter(shared).routes()).use(router.routes());
    const { as, anyone } = clientsOf(await serve(app));
    const { body } = await (await as('ada@example.com')).get('/gold').expect(403);
    expect(body).to.deep.include({ code: 'claim_missing', requiredClaims: ['tier'] });
    await anyone().get('/gold').expect(401);
  });

  it('refuses to be made without a claim', () => {
    for (const claims of [
      [],
      {},
      undefined,
      null,
      'tier',
      [''],
      [7],
      { tier: null },
      { tier: undefined },
      () => true,
    ]) {
      expect(() => requireClaims(claims as never), JSON.stringify(claims)).to.throw(TypeError);
    }
  });
});
