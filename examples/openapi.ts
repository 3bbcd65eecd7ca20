import Router from '@koa/router';
import Joi from 'joi';
import Koa from 'koa';
import {
  answers,
  authenticate,
  authRouter,
  body,
  described,
  endpoint,
  openapiRouter,
  optionsFromEnv,
  problems,
  ready,
  requireRole,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
const shared = optionsFromEnv(process.env);
await ready(shared);

const auth = authRouter(shared);
const notes = new Router({ prefix: '/notes' });

const note = Joi.object({ id: Joi.string().required(), text: Joi.string().required() });

notes.post(
  '/',
  endpoint(
    authenticate(shared),
    body({ text: Joi.string().max(1000) }),
    answers(201, note, 'conflict'),
    function addNote(ctx) {
      ctx.status = 201;
      ctx.body = { id: '1', text: ctx.request.body.text };
    },
  ),
);

const weekdays = described({ refuses: ['permission_missing'] }, async (ctx: Koa.Context, next: Koa.Next) => {
  if ([0, 6].includes(new Date().getDay())) ctx.throw(403);
  await next();
});
notes.delete('/:id', weekdays, (ctx) => {
  ctx.status = 204;
});

const guard = endpoint(authenticate(shared), requireRole('admin'), (_ctx, next) => next());

const app = new Koa();
app.use(problems());
const documents = openapiRouter({
  ...shared,
  routers: [auth, notes],
  title: 'Notes',
  version: '1.0.0',
  guard,
});
for (const router of [auth, notes, documents]) app.use(router.routes()).use(router.allowedMethods());
app.listen(process.env.PORT ?? 3000);
