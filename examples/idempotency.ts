import Router from '@koa/router';
import Koa from 'koa';
import {
  authenticate,
  consumeQuota,
  endpoint,
  idempotent,
  optionsFromEnv,
  problems,
  quota,
  ready,
  type SignedIn,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
const shared = optionsFromEnv(process.env);
await ready(shared);

let made = 0;
const generate: Koa.Middleware = (ctx) => {
  made += 1;
  ctx.status = 201;
  ctx.body = { image: made };
};
const order: Koa.Middleware = (ctx) => {
  made += 1;
  ctx.status = 201;
  ctx.set('Location', `/orders/${made}`);
  ctx.body = { order: made };
};

const router = new Router();
router.post('/images', endpoint(authenticate(shared), quota('images'), generate));
router.post('/orders', endpoint(authenticate(shared), idempotent({ ...shared, window: 3_600 }), order));

/** A job that is started again when it failed uses up one image all the same. */
router.post('/jobs/:id', authenticate(shared), async (ctx) => {
  const { id } = ctx.params;
  const subject = { type: 'user', id: (ctx.state as SignedIn).user.id } as const;
  const { remaining } = await consumeQuota({
    subject,
    feature: 'images',
    idempotencyKey: `job ${id}`,
  });
  ctx.body = { remaining };
});

const app = new Koa();
app.use(problems());
app.use(router.routes()).use(router.allowedMethods());
app.listen(process.env.PORT ?? 3000);
