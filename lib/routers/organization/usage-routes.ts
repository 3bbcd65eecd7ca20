import type Router from '@koa/router';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { endpoint } from '../../middleware/endpoint.js';
import { organization } from '../../middleware/organization.js';
import { query } from '../../middleware/query.js';
import { requireScope } from '../../middleware/require-scope.js';
import { connectionOf, strictOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { usageOf } from '../../services/usage/usage-of.js';
import { listOf, usageResource } from '../resources.js';

/** What an organization has used of each allowance of its plan: for any member. */
export function organizationUsageRoutes(router: Router, shared: ReadSharedOptions): void {
  router.get(
    '/:organizationId/usage',
    endpoint(
      authenticate(shared),
      requireScope('organizations.read'),
      organization(),
      query({}),
      answers(200, listOf(usageResource)),
      async function usage(ctx) {
        const subject = { type: 'organization', id: ctx.state.organization.id } as const;
        const which = { subject, connection: connectionOf(ctx), strict: Boolean(strictOf(ctx, false)) };
        ctx.body = { items: await usageOf(which), nextCursor: null };
      },
    ),
  );
}
