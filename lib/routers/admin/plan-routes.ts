import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { readFeatures, type ShownFeature } from '../../services/plans/as-plan.js';
import { createPlan, planCode } from '../../services/plans/create-plan.js';
import { featuresSchema, planName, planTier } from '../../services/plans/features.js';
import { listPlans, planOf } from '../../services/plans/list-plans.js';
import { updatePlan } from '../../services/plans/update-plan.js';
import { asked, created, done } from '../answers.js';
import { planResource } from '../billing/resources.js';
import { listOf } from '../resources.js';

const features = featuresSchema<ShownFeature>('unlimited', null);

/** The stored plans, archived ones too; nothing is ever deleted, for somebody may be on it. */
export function planRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const manage = requirePermission('admin.plans.manage', { global: true });

  router.get(
    '/plans',
    answers(200, listOf(planResource)),
    endpoint(signedIn, manage, query(...pageQuery), async function list(ctx) {
      const { limit, cursor: after } = ctx.state.query;
      ctx.body = await listPlans({ limit, after, archived: true, connection: connectionOf(ctx) });
    }),
  );

  router.post(
    '/plans',
    answers(201, planResource, 'conflict'),
    endpoint(
      signedIn,
      manage,
      body({ code: planCode, name: planName, tier: planTier, features }, { default: Joi.boolean() }),
      async function create(ctx) {
        const { features, ...facts } = ctx.request.body;
        const by = { ...asked(ctx, shared), actor: ctx.state.user.id };
        const plan = await createPlan({ ...by, ...facts, features: readFeatures(features) });
        created(ctx, plan, `${ctx.path.replace(/\/$/, '')}/${plan.code}`);
      },
    ),
  );

  router.get(
    '/plans/:code',
    answers(200, planResource, 'not_found'),
    endpoint(signedIn, manage, query({}), async function show(ctx) {
      const code = ctx.params.code as string;
      ctx.body = await planOf({ code, archived: true, connection: connectionOf(ctx) });
    }),
  );

  router.patch(
    '/plans/:code',
    answers(200, planResource, 'not_found', 'conflict'),
    endpoint(
      signedIn,
      manage,
      body(
        {},
        {
          name: planName,
          tier: planTier,
          features,
          default: Joi.valid(true) as Joi.AnySchema<true>,
          active: Joi.boolean(),
        },
      ),
      async function update(ctx) {
        const { features, ...facts } = ctx.request.body;
        const which = { ...asked(ctx, shared), actor: ctx.state.user.id, code: ctx.params.code as string };
        const read = features && { features: readFeatures(features) };
        ctx.body = await updatePlan({ ...which, ...facts, ...read });
      },
    ),
  );

  router.delete(
    '/plans/:code',
    answers(204, null, 'not_found', 'conflict'),
    endpoint(signedIn, manage, query({}), async function archive(ctx) {
      const which = { ...asked(ctx, shared), actor: ctx.state.user.id, code: ctx.params.code as string };
      await updatePlan({ ...which, active: false });
      done(ctx);
    }),
  );
}
