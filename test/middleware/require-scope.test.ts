import Router from '@koa/router';
import { expect } from 'chai';
import Koa from 'koa';
import { authenticate, authRouter, createApiKey, problems, requireScope, Users } from '../../lib/index.js';
import { clientsOf, inspector, serve, world } from '../support/world.js';

const routes = ['images', 'images.write', 'images.write.large', 'imagesize.write', 'reports.read'];

/** An application in which each route needs the scope of its name, and what Ada's key with `scopes` is answered by each. */
async function scoped() {
  const { shared } = await world();
  const { _id } = await Users(inspector()).findOne({ email: 'ada@example.com' }).orFail().lean();
  const router = new Router();
  for (const code of routes) {
    router.get(`/${code}`, authenticate(shared), requireScope(code), (ctx) => {
      ctx.body = {};
    });
  }
  router.get('/open', requireScope('images'), (ctx) => {
    ctx.body = {};
  });
  const app = new Koa();
  app.use(problems()).use(authRouter(shared).routes()).use(router.routes());
  const clients = clientsOf(await serve(app));
  const admitted = async (scopes: string[]) => {
    const { key } = await createApiKey({ ...shared, userId: String(_id), name: 'nightly', scopes });
    const client = clients.withHeaders({ 'X-API-Key': key });
    const answers = await Promise.all(
      routes.map(async (code) => [code, await client.get(`/${code}`)] as const),
    );
    for (const [code, { status, body }] of answers) {
      if (status === 200) continue;
      expect([status, body.code, body.requiredPermission]).to.deep.equal([403, 'permission_missing', code]);
    }
    return answers.filter(([, { status }]) => status === 200).map(([code]) => code);
  };
  return { ...clients, admitted };
}

describe('requireScope()', () => {
  it('admits a key by its very scope, or by a wildcard above it at any depth, and by nothing else', async () => {
    const { admitted } = await scoped();
    expect(await admitted(['images'])).to.deep.equal(['images']);
    expect(await admitted(['images.write'])).to.deep.equal(['images.write']);
    expect(await admitted(['images.*'])).to.deep.equal(['images.write', 'images.write.large']);
    expect(await admitted(['images.write.*'])).to.deep.equal(['images.write.large']);
    expect(await admitted(['reports.*', 'images'])).to.deep.equal(['images', 'reports.read']);
    expect(await admitted(['other'])).to.deep.equal([]);
  });

  it('lets keys without scopes and sessions through, and nobody else', async () => {
    const { admitted, as, anyone } = await scoped();
    expect(await admitted([])).to.deep.equal(routes);
    await (await as('ada@example.com')).get('/images.write').expect(200);
    expect((await anyone().get('/images.write').expect(401)).body.code).to.equal('token_missing');
    expect((await anyone().get('/open').expect(401)).body.code).to.equal('token_missing');
  });

  it('refuses to be made without a code, or with a wildcard', () => {
    for (const code of ['', '*', 'images.*', 'Images', 'a..b', 'a.', undefined, ['images'], {}]) {
      expect(() => requireScope(code as string), String(code)).to.throw(TypeError);
    }
  });
});
