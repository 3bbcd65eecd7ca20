import { randomUUID } from 'node:crypto';
import cors from '@koa/cors';
import Router from '@koa/router';
import Joi from 'joi';
import Koa from 'koa';
import {
  adminRouter,
  answers,
  authenticate,
  authRouter,
  billingRouter,
  body,
  commitReservation,
  endpoint,
  entitlementsOf,
  type HealthCheck,
  healthRouter,
  invitationRouter,
  oauthRouter,
  openapiRouter,
  organization,
  organizationRouter,
  planRouter,
  problems,
  query,
  quota,
  requireEntitlement,
  requireRole,
  requireScope,
  reserveQuota,
  type SharedOptions,
  team,
} from 'koa-tollgate';
import type { Connection } from 'mongoose';
import {
  bundleAnswer,
  helloAnswer,
  imageAnswer,
  meAnswer,
  okAnswer,
  reportList,
  spentAnswer,
  userAnswer,
} from './answers.js';
import { projectRoutes } from './projects.js';

/** What the routers and the guards of the demo share. */
export type DemoOptions = SharedOptions & { connection: Connection };

/** The demo application: the routers of koa-tollgate and a small product that is guarded by its middlewares. */
export function demoApp(shared: DemoOptions, checks: Record<string, HealthCheck> = {}): Koa {
  const app = new Koa();
  app.use(problems());
  app.use(crossOrigin(shared.allowedOrigins ?? []));
  const routers = [
    healthRouter({ ...shared, checks }),
    authRouter({ passkeys: shared.publicUrl !== undefined, ...shared }),
    oauthRouter(shared),
    organizationRouter(shared),
    adminRouter(shared),
    planRouter(shared),
    billingRouter(shared),
    invitationRouter(shared),
    product(shared),
  ];
  const documents = openapiRouter({ ...shared, routers, title: 'koa-tollgate demo', version: '1.0.0' });
  for (const router of [...routers, documents]) {
    app.use(router.routes()).use(router.allowedMethods());
  }
  return app;
}

function product(shared: DemoOptions): Router {
  const api = new Router({ prefix: '/api' });
  const { connection } = shared;
  const ours = ['session', 'apiKey'] as const;
  const signedIn = authenticate({ ...shared, accept: shared.stytch ? [...ours, 'stytch'] : ours });
  const units = Joi.number().integer().min(1).max(Number.MAX_SAFE_INTEGER);

  api.get(
    '/me',
    answers(200, meAnswer),
    endpoint(query({}), signedIn, organization({ optional: true }), team(), async function me(ctx) {
      const { user, organization, team } = ctx.state;
      const subject = organization
        ? ({ type: 'organization', id: organization.id } as const)
        : ({ type: 'user', id: user.id } as const);
      const { entitlements } = await entitlementsOf({ subject, connection });
      ctx.body = { user, organization, team, entitlements };
    }),
  );

  api.get(
    '/hello',
    answers(200, helloAnswer),
    endpoint(query({}), authenticate({ ...shared, optional: true }), function hello(ctx) {
      ctx.body = { hello: ctx.state.user ? (ctx.state.user.name ?? ctx.state.user.email) : 'stranger' };
    }),
  );

  api.get(
    '/machine',
    answers(200, userAnswer),
    endpoint(query({}), authenticate({ ...shared, accept: ['apiKey'] }), function machine(ctx) {
      ctx.body = { user: ctx.state.user };
    }),
  );

  api.get(
    '/browser',
    answers(200, userAnswer),
    endpoint(query({}), authenticate({ ...shared, accept: ['session'] }), function browser(ctx) {
      ctx.body = { user: ctx.state.user };
    }),
  );

  api.get(
    '/admin',
    answers(200, okAnswer),
    endpoint(query({}), signedIn, requireRole('admin'), requireScope('admin.access'), function admin(ctx) {
      ctx.body = { ok: true };
    }),
  );

  api.get(
    '/reports',
    answers(200, reportList),
    endpoint(
      query({}),
      signedIn,
      requireScope('reports.read'),
      organization(),
      requireEntitlement('reports'),
      function reports(ctx) {
        ctx.body = { items: [{ name: 'Visits', organization: ctx.state.organization.slug }] };
      },
    ),
  );

  api.post(
    '/images',
    answers(201, imageAnswer),
    endpoint(
      body({}),
      signedIn,
      requireScope('images.write'),
      organization(),
      requireRole('designer'),
      quota('images'),
      function images(ctx) {
        ctx.status = 201;
        ctx.body = { id: randomUUID(), remaining: ctx.state.quota.images.remaining };
      },
    ),
  );

  const asked = (ctx: Koa.ParameterizedContext) =>
    (ctx.request as unknown as { body: { amount?: number } }).body.amount ?? 1;
  api.post(
    '/bundles',
    answers(201, bundleAnswer),
    endpoint(
      body({}),
      signedIn,
      requireScope('images.write'),
      organization(),
      quota({ images: 1, tokens: 50 }),
      function bundles(ctx) {
        ctx.status = 201;
        ctx.body = { id: randomUUID() };
      },
    ),
  );

  api.post(
    '/searches',
    answers(200, spentAnswer),
    endpoint(
      body({}, { amount: units }),
      signedIn,
      requireScope('searches.write'),
      quota('searches', { subject: 'user', amount: asked }),
      function searches(ctx) {
        const { used, remaining } = ctx.state.quota.searches;
        ctx.body = { used, remaining };
      },
    ),
  );

  api.post(
    '/completions',
    answers(200, spentAnswer, 'entitlement_missing', 'quota_exceeded'),
    endpoint(
      body({}, { tokens: Joi.number().integer().min(0).max(Number.MAX_SAFE_INTEGER) }),
      signedIn,
      requireScope('completions.write'),
      organization(),
      async function complete(ctx) {
        const subject = { type: 'organization', id: ctx.state.organization.id } as const;
        const { id } = await reserveQuota({ subject, feature: 'tokens', amount: 1000, connection });
        const { tokens = 1000 } = ctx.request.body; // what a model would have used
        const { used, remaining } = await commitReservation({ id, amount: tokens, connection });
        ctx.body = { used, remaining };
      },
    ),
  );
  api.use(projectRoutes(connection, signedIn).routes());

  return api;
}

/** Answers exactly the allowed origins, with credentials. */
function crossOrigin(allowed: readonly string[]): Koa.Middleware {
  return cors({
    origin: (ctx) => (allowed.includes(ctx.get('Origin')) ? ctx.get('Origin') : ''),
    credentials: true,
    keepHeadersOnError: true,
    exposeHeaders: [
      'RateLimit',
      'RateLimit-Policy',
      'Retry-After',
      'X-Request-Id',
      'Idempotency-Replayed',
      'Location',
    ],
  });
}
