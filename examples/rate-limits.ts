import Router from '@koa/router';
import Koa from 'koa';
import { authenticate, endpoint, optionsFromEnv, problems, rateLimit, ready } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
const shared = optionsFromEnv(process.env); // with TOLLGATE_REDIS_URL Redis counts, else MongoDB
await ready(shared);

const router = new Router();
router.use(rateLimit({ ...shared, points: 300, per: 'minute' })); // each address, all routes together

router.post('/contact', rateLimit({ ...shared, points: 3, per: 'hour' }), (ctx) => {
  ctx.status = 202;
});
router.get(
  '/search',
  endpoint(authenticate(shared), rateLimit({ ...shared, points: 10, per: 'second', by: 'user' }), (ctx) => {
    ctx.body = { items: [] };
  }),
);

const app = new Koa();
app.use(problems());
app.use(router.routes()).use(router.allowedMethods());
app.listen(process.env.PORT ?? 3000);
