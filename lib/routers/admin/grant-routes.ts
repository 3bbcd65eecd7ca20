import type Router from '@koa/router';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { idempotent } from '../../middleware/idempotent.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { grantCredits, grantFields, grantId } from '../../services/plans/grant-credits.js';
import { knownSubject } from '../../services/plans/known-subject.js';
import { featureCode } from '../../services/plans/reset-usage.js';
import { explain } from '../../services/usage/explain.js';
import { asked, created } from '../answers.js';
import { explanationResource, grantResource } from '../billing/resources.js';
import { isoDate } from '../iso-date.js';

/** What a user or an organization is given beside its plan, and why it was refused. */
export function grantRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const manage = requirePermission('admin.subjects.manage', { global: true });

  router.post(
    '/subjects/:type/:id/grants',
    answers(201, grantResource, 'not_found', 'conflict'),
    endpoint(
      signedIn,
      manage,
      body(grantFields, { expiresAt: isoDate, id: grantId }),
      idempotent({ subject: 'user' }),
      async function grant(ctx) {
        const subject = await knownSubject(connectionOf(ctx), ctx.params);
        const given = { ...asked(ctx, shared), ...ctx.request.body, subject, actor: ctx.state.user.id };
        const grant = await grantCredits(given);
        created(ctx, grant, `${ctx.path.replace(/\/$/, '')}/${encodeURIComponent(grant.id)}`);
      },
    ),
  );

  router.get(
    '/subjects/:type/:id/explain',
    answers(200, explanationResource, 'not_found'),
    endpoint(signedIn, manage, query({ feature: featureCode }), async function explained(ctx) {
      const connection = connectionOf(ctx);
      const subject = await knownSubject(connection, ctx.params);
      ctx.body = { subject, ...(await explain({ subject, ...ctx.state.query, connection })) };
    }),
  );
}
