import Router from '@koa/router';
import Koa from 'koa';
import {
  authenticate,
  authRouter,
  problems,
  ready,
  requireFactor,
  requireRecentSignIn,
  type SignedIn,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const port = process.env.PORT ?? 3000;

const shared = {
  keys: [process.env.TOLLGATE_SECRET ?? ''],
  publicUrl: process.env.TOLLGATE_PUBLIC_URL ?? `http://localhost:${port}`,
  appName: 'Acme', // what authenticator apps and passkey dialogs show
  passkeys: true,
};

const api = new Router<SignedIn>({ prefix: '/api' });
api.use(authenticate(shared));
api.get('/me', (ctx) => {
  ctx.body = { email: ctx.state.user.email, factors: ctx.state.factors };
});
api.post('/payouts', requireFactor('mfa'), requireRecentSignIn(), (ctx) => {
  ctx.status = 202;
});

const app = new Koa();
app.use(problems());
app.use(authRouter(shared).routes());
app.use(api.routes()).use(api.allowedMethods());
app.listen(port);
