import Router from '@koa/router';
import { expect } from 'chai';
import Koa, { type Middleware } from 'koa';
import { authenticate, authRouter, problems, requireFactor, Sessions } from '../../lib/index.js';
import { clientsOf, inspector, serve, world } from '../support/world.js';

/** Ada, in a session that was begun by `factors`, before routes with these guards. */
async function provedBy(factors: readonly string[], routes: Record<string, Middleware>) {
  const { shared } = await world();
  const router = new Router();
  for (const [path, guard] of Object.entries(routes)) {
    router.get(path, authenticate({ ...shared, strict: true }), guard, (ctx) => {
      ctx.body = { ok: true };
    });
  }
  const app = new Koa();
  app.use(problems()).use(authRouter(shared).routes()).use(router.routes());
  const ada = await clientsOf(await serve(app)).as('ada@example.com');
  await Sessions(inspector()).updateMany({}, { factors });
  return ada;
}

describe('requireFactor()', () => {
  it('lets a session through that has proved one of the factors, and tells the others which', async () => {
    const ada = await provedBy(['password', 'totp'], {
      '/totp': requireFactor('totp'),
      '/either': requireFactor('passkey', 'totp'),
      '/otp': requireFactor('otp'),
      '/sso': requireFactor('sso', 'passkey'),
    });

    await ada.get('/totp').expect(200);
    await ada.get('/either').expect(200);
    expect((await ada.get('/otp').expect(403)).body).to.include({ code: 'factor_missing' });
    expect((await ada.get('/sso').expect(403)).body.requiredFactors).to.deep.equal(['sso', 'passkey']);
  });

  it('takes two factors of different kinds for mfa, and a passkey alone', async () => {
    const ada = await provedBy([], { '/mfa': requireFactor('mfa') });
    const expected: Record<string, number> = {
      '': 403,
      password: 403,
      otp: 403,
      totp: 403,
      oauth: 403,
      recovery: 403,
      'otp totp': 403,
      'totp recovery': 403,
      'password oauth': 403,
      'password constructor': 403,
      'constructor toString': 403,
      passkey: 200,
      'password totp': 200,
      'password otp': 200,
      'password recovery': 200,
      'oauth totp': 200,
      'otp password': 200,
      'password magic_link': 200,
    };

    const found: Record<string, number> = {};
    for (const factors of Object.keys(expected)) {
      await Sessions(inspector()).updateMany({}, { factors: factors.split(' ').filter(Boolean) });
      found[factors] = (await ada.get('/mfa')).status;
    }

    expect(found).to.deep.equal(expected);
  });

  it('refuses everybody where authenticate() is missing', async () => {
    const app = new Koa().use(problems()).use(requireFactor('totp') as Middleware);
    const { body } = await clientsOf(await serve(app))
      .anyone()
      .get('/')
      .expect(401);
    expect(body).to.include({ code: 'token_missing' });
  });

  it('must be told a factor', () => {
    for (const factors of [[], [''], [undefined], [['totp']]])
      expect(() => requireFactor(...(factors as unknown as [string]))).to.throw(TypeError, 'requireFactor');
  });
});
