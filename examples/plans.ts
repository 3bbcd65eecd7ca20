import Router from '@koa/router';
import Joi from 'joi';
import Koa from 'koa';
import {
  adminRouter,
  assignPlan,
  authenticate,
  authRouter,
  body,
  definePlans,
  endpoint,
  planRouter,
  problems,
  ready,
  requireEntitlement,
  syncPlans,
  updatePlanLimits,
  withinLimit,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const keys = [process.env.TOLLGATE_SECRET ?? ''];

const plans = definePlans({
  free: {
    name: 'Free',
    tier: 0,
    default: true,
    features: { images: { limit: 10, per: 'month' }, projects: 3 },
  },
  pro: {
    name: 'Pro',
    tier: 1,
    features: {
      reports: true,
      projects: 50,
      images: { limit: 100, per: 'billing', rollover: { cap: 50 }, overage: { cap: 500 } },
      credits: { limit: 200, per: 'month' },
      videos: { credits: 5 },
    },
  },
});
await syncPlans({ keys, plans });

const api = new Router({ prefix: '/api' });
api.get(
  '/reports',
  endpoint(authenticate({ keys }), requireEntitlement(plans, 'reports'), (ctx) => {
    ctx.body = { projects: ctx.state.limits.projects };
  }),
);

api.post(
  '/trial',
  endpoint(authenticate({ keys }), async (ctx) => {
    const subject = { type: 'user', id: ctx.state.user.id } as const;
    await assignPlan({
      keys,
      subject,
      plan: 'pro',
      expiresAt: new Date(Date.now() + 14 * 86_400_000),
      actor: ctx.state.user.id,
      context: ctx.state.user,
      authorize: (user) => user.emailVerified,
    });
    await updatePlanLimits({ keys, subject, limits: { images: 20 } });
    ctx.status = 204;
  }),
);

const projectSchema = new mongoose.Schema({ owner: { type: String, index: true }, name: String });
const Project = mongoose.model('Project', projectSchema);
await Project.init();

api.post(
  '/projects',
  endpoint(authenticate({ keys }), body({ name: Joi.string().max(100) }), async (ctx) => {
    const owner = ctx.state.user.id;
    const [project] = await withinLimit({
      subject: { type: 'user', id: owner },
      feature: 'projects',
      count: (session) => Project.countDocuments({ owner }, { session }),
      run: (session) => Project.create([{ owner, name: ctx.request.body.name }], { session }),
    });
    ctx.status = 201;
    ctx.body = { id: project?.id };
  }),
);

const app = new Koa();
app.use(problems());
app.use(authRouter({ keys }).routes());
app.use(planRouter().routes()); // GET /billing/plans
app.use(adminRouter({ keys }).routes()); // /admin/plans, /admin/subjects, …
app.use(api.routes());
app.listen(process.env.PORT ?? 3000);
