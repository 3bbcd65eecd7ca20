import Router from '@koa/router';
import Koa from 'koa';
import {
  adminRouter,
  authenticate,
  authRouter,
  checkPermission,
  endpoint,
  organization,
  organizationRouter,
  problems,
  ready,
  requireOrganizationRole,
  requirePermission,
  saveRole,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const shared = { keys: [process.env.TOLLGATE_SECRET ?? ''] };

await saveRole({ name: 'admin', permissions: ['admin.*'] });
await saveRole({
  name: 'support',
  permissions: ['tickets.*'],
  managementRules: { create: ['user'], update: ['user'], delete: [] },
});
await saveRole({ name: 'organization.owner', permissions: ['projects.*'] }); // of every organization
await saveRole({ name: 'organization.member', permissions: ['projects.read'] });

const api = new Router({ prefix: '/api' });
const signedIn = authenticate(shared);

api.get(
  '/tickets',
  endpoint(signedIn, requirePermission('tickets.read'), (ctx) => {
    ctx.body = { items: [] };
  }),
);
api.post(
  '/projects',
  endpoint(signedIn, organization(), requirePermission('projects.write'), (ctx) => {
    ctx.status = 201;
    ctx.body = { organization: ctx.state.organization.slug };
  }),
);
api.get(
  '/projects',
  endpoint(signedIn, organization(), requirePermission('projects.read'), async (ctx) => {
    const { user, organization } = ctx.state;
    const who = { userId: user.id, organizationId: organization.id };
    const canWrite = await checkPermission({ ...who, permission: 'projects.write' });
    ctx.body = { items: [], canWrite };
  }),
);
api.post(
  '/handover',
  endpoint(signedIn, organization(), requireOrganizationRole('owner', 'admin'), (ctx) => {
    ctx.status = 204;
  }),
);

const app = new Koa();
app.use(problems());
for (const router of [authRouter(shared), organizationRouter(shared), adminRouter(shared), api])
  app.use(router.routes()).use(router.allowedMethods());
app.listen(process.env.PORT ?? 3000);
