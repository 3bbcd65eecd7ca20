import type Router from '@koa/router';
import type { ParameterizedContext } from 'koa';
import { answers } from '../../middleware/answers.js';
import { authenticate, type SignedIn } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { described } from '../../middleware/described.js';
import { endpoint } from '../../middleware/endpoint.js';
import type { Guard } from '../../middleware/guard.js';
import { organization } from '../../middleware/organization.js';
import { query } from '../../middleware/query.js';
import { rateLimit } from '../../middleware/rate-limit.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { requireScope } from '../../middleware/require-scope.js';
import { requireReach } from '../../middleware/subject-of.js';
import { connectionOf, strictOf } from '../../runtime/connection.js';
import { type ReadSharedOptions, rateOf } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { entitlementsOf } from '../../services/plans/entitlements-of.js';
import { createOrganization } from '../../services/tenancy/create-organization.js';
import { deleteOrganization } from '../../services/tenancy/delete-organization.js';
import { listOrganizations } from '../../services/tenancy/list-organizations.js';
import { organizationDetails } from '../../services/tenancy/organization-details.js';
import { organizationFields, updateOrganization } from '../../services/tenancy/update-organization.js';
import { asked, created, done } from '../answers.js';
import { listOf, organizationDetailsResource, organizationResource } from '../resources.js';
import { byMember } from './by-member.js';

/** One's organizations, and each of them. */
export function organizationRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const readable = requireScope('organizations.read');
  const manage = requirePermission('organization.manage');
  const { name, ...fields } = organizationFields;

  router.get(
    '/',
    endpoint(
      signedIn,
      readable,
      query(...pageQuery),
      answers(200, listOf(organizationResource)),
      async function listOwn(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        ctx.body = await listOrganizations({
          userId: ctx.state.user.id,
          only: ctx.state.apiKey?.organizationId,
          connection: connectionOf(ctx),
          limit,
          after,
        });
      },
    ),
  );

  router.post(
    '/',
    answers(201, organizationDetailsResource, 'conflict'),
    endpoint(
      signedIn,
      requireScope('organizations.create'),
      forThemselves(),
      body({ name }, { slug: fields.slug }),
      perUser(shared),
      async function create(ctx) {
        const { id: owner } = ctx.state.user;
        const { id } = await createOrganization({ ...asked(ctx, shared), ...ctx.request.body, owner });
        created(ctx, await shown(ctx, { id, role: 'owner' }));
      },
    ),
  );

  router.get(
    '/:organizationId',
    answers(200, organizationDetailsResource),
    endpoint(signedIn, readable, organization(), query({}), async function show(ctx) {
      ctx.body = await shown(ctx, ctx.state.organization);
    }),
  );

  router.patch(
    '/:organizationId',
    answers(200, organizationDetailsResource, 'conflict', 'overloaded'),
    endpoint(signedIn, organization(), manage, body({}, { name, ...fields }), async function update(ctx) {
      await updateOrganization({ ...ctx.request.body, ...byMember(ctx, shared) });
      ctx.body = await shown(ctx, ctx.state.organization);
    }),
  );

  router.delete(
    '/:organizationId',
    answers(204, null, 'overloaded'),
    endpoint(signedIn, organization(), manage, query({}), async function remove(ctx) {
      await deleteOrganization(byMember(ctx, shared));
      done(ctx);
    }),
  );
}

/** Refuses an API key that is for one organization, before its request counts for its user. */
function forThemselves(): Guard<SignedIn> {
  return described({ refuses: ['permission_missing'] }, function forThemselves(ctx, next) {
    requireReach(ctx, { type: 'user', id: ctx.state.user.id });
    return next();
  });
}

/** No user tries to make organizations more often than `organizationRate` says: an attempt counts whatever becomes of it. */
function perUser(shared: ReadSharedOptions) {
  const rate = rateOf(shared.organizationRate);
  const limit = rate
    ? { points: rate.points, per: rate.seconds }
    : ({ points: 1, per: 1, store: 'none' } as const);
  return rateLimit({ ...shared, ...limit, by: 'user', name: 'organizations' });
}

/** An organization as its member sees it now. */
async function shown(
  ctx: ParameterizedContext,
  { id, role }: { readonly id: string; readonly role: string },
) {
  const connection = connectionOf(ctx);
  const subject = { type: 'organization', id } as const;
  const [details, { plan }] = await Promise.all([
    organizationDetails({ organizationId: id, connection }),
    entitlementsOf({ subject, connection, strict: strictOf(ctx, false) }),
  ]);
  return { ...details, role, plan: plan?.code ?? null };
}
