import Router from '@koa/router';
import Koa from 'koa';
import type { Entitled, SignedIn, WithQuota } from 'koa-tollgate';
import {
  authenticate,
  authRouter,
  problems,
  quota,
  ready,
  requireEntitlement,
  requireRole,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready(); // every unique index exists
const keys = [process.env.TOLLGATE_SECRET ?? '']; // the first signs, all verify; at least 32 bytes

const api = new Router<SignedIn>({ prefix: '/api' });
api.use(authenticate({ keys }));
api.get('/me', (ctx) => {
  ctx.body = ctx.state.user;
});
api.get('/admin', requireRole('admin'), (ctx) => {
  ctx.body = { welcome: ctx.state.user.name };
});
api.post<Entitled & WithQuota<'images'>>(
  '/images',
  requireRole('designer'),
  requireEntitlement('images'),
  quota('images'),
  (ctx) => {
    ctx.status = 201;
    ctx.body = { remaining: ctx.state.quota.images.remaining };
  },
);

const app = new Koa();
app.use(problems()); // every error as problem details, also Koa Router's empty 404 and 405
app.use(authRouter({ keys }).routes()); // POST /auth/sign-in, /auth/refresh, /auth/sign-out, …
app.use(api.routes()).use(api.allowedMethods());
app.listen(process.env.PORT ?? 3000);
