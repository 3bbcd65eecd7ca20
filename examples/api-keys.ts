import Router from '@koa/router';
import Koa from 'koa';
import { authenticate, authRouter, endpoint, problems, ready, requireScope } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const keys = [process.env.TOLLGATE_SECRET ?? ''];

const api = new Router({ prefix: '/api' });
const byProgram = authenticate({ keys, accept: ['apiKey'] }); // or ['session'], or by default either

api.get(
  '/builds',
  endpoint(byProgram, requireScope('builds.read'), (ctx) => {
    const { user, apiKey } = ctx.state;
    ctx.body = { owner: user.email, key: apiKey.prefix, builds: [] };
  }),
);
api.post(
  '/builds',
  endpoint(byProgram, requireScope('builds.write'), (ctx) => {
    ctx.status = 201;
    ctx.body = { startedBy: ctx.state.apiKey.name };
  }),
);

const app = new Koa();
app.use(problems());
app.use(authRouter({ keys }).routes()); // POST /auth/api-keys and the rest, for whoever is signed in
app.use(api.routes()).use(api.allowedMethods());
app.listen(process.env.PORT ?? 3000);
