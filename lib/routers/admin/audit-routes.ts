import type Router from '@koa/router';
import Joi from 'joi';
import { searchAudit } from '../../audit/search-audit.js';
import { verifyAllAudit } from '../../audit/verify-all-audit.js';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { sortedPageQuery } from '../../runtime/sorted-page.js';
import { isoDate } from '../iso-date.js';
import { auditEntryResource, listOf } from '../resources.js';
import { verificationResource } from './resources.js';

const text = Joi.string().max(200);
const [limit, cursor] = sortedPageQuery;
const search = {
  ...cursor,
  q: text,
  action: text,
  actor: text,
  organizationId: text,
  from: isoDate,
  to: isoDate,
};

/** The audit log of the application and of all its organizations. */
export function auditRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const read = requirePermission('admin.audit.read', { global: true });

  router.get(
    '/audit',
    answers(200, listOf(auditEntryResource)),
    endpoint(signedIn, read, query(limit, search), async function list(ctx) {
      const { cursor: after, ...which } = ctx.state.query;
      ctx.body = await searchAudit({ ...which, after, connection: connectionOf(ctx) });
    }),
  );

  router.get(
    '/audit/verify',
    answers(200, verificationResource),
    endpoint(signedIn, read, query({}), async function verify(ctx) {
      ctx.body = await verifyAllAudit({ ...shared, connection: connectionOf(ctx) });
    }),
  );
}
