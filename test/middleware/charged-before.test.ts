import Router from '@koa/router';
import { expect } from 'chai';
import Koa, { type ParameterizedContext } from 'koa';
import {
  authenticate,
  Claims,
  consumeQuota,
  endpoint,
  type PlanDefinitions,
  problems,
  quota,
  refundQuota,
  syncPlans,
  Usage,
  type WithQuota,
} from '../../lib/index.js';
import { clientsOf, inspector, serve, world } from '../support/world.js';

type Context = ParameterizedContext<WithQuota<'images'>>;

const plansWith = (features: PlanDefinitions[string]['features']): PlanDefinitions => ({
  free: { name: 'Free', tier: 0, default: true, features },
});
const hundred = { limit: 100, per: 'month' } as const;

/** A route whose handler and amount change from request to request: `post` sends the same one, with the same key. */
async function changing() {
  const { shared, signIn } = await world();
  await syncPlans({ ...shared, plans: plansWith({ images: hundred }) });
  const now = { units: 30, handle: (_: Context): unknown => undefined };
  const router = new Router();
  router.post(
    '/images',
    endpoint(authenticate(shared), quota('images', { amount: () => now.units }), async (ctx) => {
      await now.handle(ctx as never);
    }),
  );
  const app = new Koa();
  app.use(problems()).use(router.routes());
  const { body } = await signIn('bob@example.com');
  const headers = { Authorization: `Bearer ${body.accessToken}`, 'Idempotency-Key': 'a' };
  const bob = clientsOf(await serve(app)).withHeaders(headers);
  const subject = { type: 'user', id: body.user.id as string } as const;
  await consumeQuota({ ...shared, subject, feature: 'images', amount: 50 }); // which nobody must give back
  const post = (status: number, handle?: (ctx: Context) => unknown) => {
    now.handle = async (ctx) => {
      await handle?.(ctx);
      ctx.status = status;
    };
    return bob.post('/images').expect(status);
  };
  const used = async (feature = 'images') =>
    (
      await Usage(inspector())
        .findOne({ '_id.s': `user:${subject.id}`, '_id.f': feature })
        .lean()
    )?.u ?? 0;
  return { shared, subject, now, post, used };
}

describe('a request that goes on with what was charged before', () => {
  it('gives that back when it fails, though another amount would be charged by now', async () => {
    const { now, post, used } = await changing();
    await post(404);
    expect(await used()).to.equal(80);
    now.units = 40;
    await post(404, (ctx) => expect(ctx.state.quota.images.taken).to.equal(30));
    expect(await used()).to.equal(80);
    await post(500);
    expect(await used()).to.equal(50);
    await post(204);
    expect(await used()).to.equal(90);
  });

  it('gives that back to the counter that it was taken from, though the feature costs credits by now', async () => {
    const { shared, subject, post, used } = await changing();
    await post(404);
    await syncPlans({ ...shared, plans: plansWith({ images: { credits: 2 }, credits: hundred }) });
    await consumeQuota({ ...shared, subject, feature: 'images', amount: 20 });
    await post(500);
    expect([await used(), await used('credits')]).to.deep.equal([50, 40]);
    await post(204);
    expect([await used(), await used('credits')]).to.deep.equal([50, 100]);
  });

  it('is answered as it was, though the plan has the feature no more', async () => {
    const { shared, post, used } = await changing();
    await post(204);
    await syncPlans({ ...shared, plans: plansWith({}) });
    const { headers } = await post(204);
    expect(headers).to.include({ 'idempotency-replayed': 'true' });
    expect(await used()).to.equal(80);
  });

  it('is answered as it was, though its handler has given all back', async () => {
    const { shared, subject, post, used } = await changing();
    let runs = 0;
    const handle = async (ctx: Context) => {
      runs += 1;
      await refundQuota({ ...shared, subject, state: ctx.state.quota.images });
    };
    await post(204, handle);
    const { headers } = await post(204, handle);
    expect(headers).to.include({ 'idempotency-replayed': 'true' });
    expect([await used(), runs]).to.deep.equal([50, 1]);
  });

  it('is carried out again, and charged, when its handler has given all back and fails', async () => {
    const { shared, subject, post, used } = await changing();
    await post(404, (ctx) => refundQuota({ ...shared, subject, state: ctx.state.quota.images }));
    expect(await used()).to.equal(50);
    await post(204);
    expect(await used()).to.equal(80);
  });

  it('is carried out again when its process died after its handler had given all back', async () => {
    const { shared, subject, post, used } = await changing();
    await post(204, (ctx) => refundQuota({ ...shared, subject, state: ctx.state.quota.images }));
    await Claims(inspector()).updateMany({}, { $set: { answer: null } }); // as if it had not come so far
    await post(204);
    expect(await used()).to.equal(80);
  });

  it('is charged anew, and whole, where a part of that was given back', async () => {
    const { shared, subject, post, used } = await changing();
    await post(404, (ctx) => refundQuota({ ...shared, subject, state: ctx.state.quota.images, amount: 20 }));
    expect(await used()).to.equal(60);
    await post(204);
    expect(await used()).to.equal(80);
    await post(204);
    expect(await used()).to.equal(80);
  });
});
