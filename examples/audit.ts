import Router from '@koa/router';
import Koa from 'koa';
import {
  audit,
  authenticate,
  authRouter,
  endpoint,
  problems,
  ready,
  requireRole,
  startWorker,
  verifyAudit,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const keys = [process.env.TOLLGATE_SECRET ?? ''];
const projects = new Map([['1', 'Difference engine']]);

const api = new Router({ prefix: '/api' });
api.delete(
  '/projects/:id',
  endpoint(
    authenticate({ keys }),
    audit('project.deleted', (ctx) => ({ target: { type: 'project', id: ctx.params.id } })),
    (ctx) => {
      ctx.status = projects.delete(ctx.params.id) ? 204 : 404;
    },
  ),
);
api.get(
  '/audit/verification',
  endpoint(authenticate({ keys }), requireRole('admin'), async (ctx) => {
    const { ok, checked, problems: found, head } = await verifyAudit({ keys });
    ctx.body = { ok, checked, problems: found, head }; // keep the head where nobody of this database can change it
  }),
);

const app = new Koa();
app.use(problems());
app.use(authRouter({ keys }).routes());
app.use(api.routes()).use(api.allowedMethods());
await startWorker({ keys }); // seals what is written
app.listen(process.env.PORT ?? 3000);
