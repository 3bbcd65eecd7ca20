import Router from '@koa/router';
import Koa from 'koa';
import type { MaybeSignedIn } from 'koa-tollgate';
import { authenticate, authRouter, oauthRouter, optionsFromEnv, problems, ready } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const shared = optionsFromEnv(process.env); // TOLLGATE_PUBLIC_URL, TOLLGATE_GITHUB_CLIENT_ID, … and others

const pages = new Router<MaybeSignedIn>();
pages.get('/', authenticate({ ...shared, optional: true }), (ctx) => {
  const names = Object.keys(shared.providers ?? {}).filter((name) => name !== 'telegram');
  const links = names.map((name) => `<a href="/auth/oauth/${name}?returnTo=/">Sign in with ${name}</a>`);
  const failed = ctx.query.error ? '<p>That did not work.</p>' : '';
  ctx.type = 'html';
  ctx.body = ctx.state.user ? '<p>You are signed in.</p>' : failed + links.join(' ');
});

const app = new Koa();
app.use(problems());
app.use(authRouter(shared).routes());
app.use(oauthRouter(shared).routes());
app.use(pages.routes());
app.listen(process.env.PORT ?? 3000);
