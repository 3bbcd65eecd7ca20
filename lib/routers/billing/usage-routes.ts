import type Router from '@koa/router';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { connectionOf, strictOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { usageOf } from '../../services/usage/usage-of.js';
import { listOf, usageResource } from '../resources.js';
import { payer } from './payer.js';

/** What the organization that the header names, or else the user, has used of each allowance. */
export function usageRoutes(router: Router, shared: ReadSharedOptions): void {
  router.get(
    '/usage',
    endpoint(
      authenticate(shared),
      payer('billing.read'),
      query({}),
      answers(200, listOf(usageResource)),
      async function usage(ctx) {
        const which = {
          subject: ctx.state.payer,
          connection: connectionOf(ctx),
          strict: Boolean(strictOf(ctx, false)),
        };
        ctx.body = { items: await usageOf(which), nextCursor: null };
      },
    ),
  );
}
