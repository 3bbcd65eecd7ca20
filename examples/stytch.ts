import Router from '@koa/router';
import Koa from 'koa';
import type { SignedIn } from 'koa-tollgate';
import { authenticate, optionsFromEnv, problems, ready, requireClaims, requireFactor } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const shared = optionsFromEnv(process.env); // TOLLGATE_STYTCH_PROJECT_ID, TOLLGATE_STYTCH_SECRET and others

const api = new Router<SignedIn>({ prefix: '/api' });
api.use(authenticate({ ...shared, accept: ['session', 'stytch'] }));
api.get('/me', (ctx) => {
  const { user, credential, stytch } = ctx.state;
  ctx.body = { user, credential, stytchOrganization: stytch?.organizationId ?? null };
});
api.get('/exports', requireFactor('mfa'), requireClaims({ tier: 'gold' }), (ctx) => {
  ctx.body = { claims: ctx.state.claims, secondsLeft: ctx.state.stytch?.secondsLeft };
});

const app = new Koa();
app.use(problems());
app.use(api.routes()).use(api.allowedMethods());
app.listen(process.env.PORT ?? 3000);
