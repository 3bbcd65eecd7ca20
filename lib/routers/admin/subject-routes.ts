import type Router from '@koa/router';
import type { ParameterizedContext } from 'koa';
import { answers } from '../../middleware/answers.js';
import { authenticate, type SignedIn } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import type { Subject } from '../../runtime/subject.js';
import { activePlan } from '../../services/plans/active-plan.js';
import { assignPlan } from '../../services/plans/assign-plan.js';
import { cancelPlan } from '../../services/plans/cancel-plan.js';
import { planCode } from '../../services/plans/create-plan.js';
import { knownSubject } from '../../services/plans/known-subject.js';
import { featureCode, resetUsage } from '../../services/plans/reset-usage.js';
import { limitChanges, updatePlanLimits } from '../../services/plans/update-plan-limits.js';
import { asked, done } from '../answers.js';
import { subjectPlanResource } from '../billing/resources.js';
import { isoDate } from '../iso-date.js';

/** The plan, the limits and the usage of a user or an organization. */
export function subjectRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const manage = requirePermission('admin.subjects.manage', { global: true });
  const about = async (ctx: ParameterizedContext<SignedIn>) => ({
    ...asked(ctx, shared),
    actor: ctx.state.user.id,
    subject: await knownSubject(connectionOf(ctx), ctx.params),
  });
  const show = async (ctx: ParameterizedContext, subject: Subject) => {
    ctx.body = { subject, ...(await activePlan({ subject, connection: connectionOf(ctx) })) };
  };

  router.get(
    '/subjects/:type/:id/plan',
    answers(200, subjectPlanResource, 'not_found'),
    endpoint(signedIn, manage, query({}), async function plan(ctx) {
      const { subject } = await about(ctx);
      await show(ctx, subject);
    }),
  );

  router.put(
    '/subjects/:type/:id/plan',
    answers(200, subjectPlanResource, 'not_found', 'conflict'),
    endpoint(signedIn, manage, body({ plan: planCode }, { expiresAt: isoDate }), async function assign(ctx) {
      const operation = await about(ctx);
      await assignPlan({ ...operation, ...ctx.request.body });
      await show(ctx, operation.subject);
    }),
  );

  router.delete(
    '/subjects/:type/:id/plan',
    answers(204, null, 'not_found'),
    endpoint(signedIn, manage, query({}), async function cancel(ctx) {
      await cancelPlan(await about(ctx));
      done(ctx);
    }),
  );

  router.patch(
    '/subjects/:type/:id/limits',
    answers(200, subjectPlanResource, 'not_found'),
    endpoint(signedIn, manage, body({ limits: limitChanges }), async function limit(ctx) {
      const operation = await about(ctx);
      await updatePlanLimits({ ...operation, ...ctx.request.body });
      await show(ctx, operation.subject);
    }),
  );

  router.post(
    '/subjects/:type/:id/usage/reset',
    answers(204, null, 'not_found'),
    endpoint(signedIn, manage, body({}, { feature: featureCode }), async function reset(ctx) {
      await resetUsage({ ...(await about(ctx)), ...ctx.request.body });
      done(ctx);
    }),
  );
}
