import type Router from '@koa/router';
import Joi from 'joi';
import { searchAudit } from '../../audit/search-audit.js';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { endpoint } from '../../middleware/endpoint.js';
import { organization } from '../../middleware/organization.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { requireScope } from '../../middleware/require-scope.js';
import { connectionOf, strictOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { sortedPageQuery } from '../../runtime/sorted-page.js';
import { entitlementsOf } from '../../services/plans/entitlements-of.js';
import { entitlementsResource } from '../billing/resources.js';
import { isoDate } from '../iso-date.js';
import { auditEntryResource, listOf } from '../resources.js';

/** What an organization may use, and what was done in it. */
export function insightRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const text = Joi.string().max(200);
  const [page, cursor] = sortedPageQuery;

  router.get(
    '/:organizationId/entitlements',
    answers(200, entitlementsResource),
    endpoint(
      signedIn,
      requireScope('organizations.read'),
      organization(),
      query({}),
      async function entitlements(ctx) {
        const subject = { type: 'organization', id: ctx.state.organization.id } as const;
        const which = { subject, connection: connectionOf(ctx), strict: strictOf(ctx, false) };
        const { plan, entitlements, tier, limits } = await entitlementsOf(which);
        ctx.body = { plan: plan?.code ?? null, entitlements, tier, limits };
      },
    ),
  );

  router.get(
    '/:organizationId/audit',
    answers(200, listOf(auditEntryResource)),
    endpoint(
      signedIn,
      organization(),
      requirePermission('organization.audit.read'),
      query(page, { ...cursor, action: text, actor: text, from: isoDate, to: isoDate }),
      async function audit(ctx) {
        const { cursor: after, ...filter } = ctx.state.query;
        const { id: organizationId } = ctx.state.organization;
        ctx.body = await searchAudit({ ...filter, after, organizationId, connection: connectionOf(ctx) });
      },
    ),
  );
}
