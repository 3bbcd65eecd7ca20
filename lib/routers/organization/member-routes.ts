import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { organization } from '../../middleware/organization.js';
import { query } from '../../middleware/query.js';
import { requireOrganizationRole } from '../../middleware/require-organization-role.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { requireScope } from '../../middleware/require-scope.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { roleName, teamIdList } from '../../services/tenancy/members/add-member.js';
import { leaveOrganization } from '../../services/tenancy/members/leave-organization.js';
import { listMembers } from '../../services/tenancy/members/list-members.js';
import { memberOf } from '../../services/tenancy/members/member-of.js';
import { removeMember } from '../../services/tenancy/members/remove-member.js';
import { transferOwnership } from '../../services/tenancy/members/transfer-ownership.js';
import { updateMember } from '../../services/tenancy/members/update-member.js';
import { asked, done } from '../answers.js';
import { listOf } from '../resources.js';
import { byMember } from './by-member.js';
import { memberResource } from './resources.js';

/** The members of an organization. */
export function memberRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const bySession = authenticate({ ...shared, accept: ['session'] });
  const manage = requirePermission('organization.members.manage');

  router.get(
    '/:organizationId/members',
    answers(200, listOf(memberResource)),
    endpoint(
      signedIn,
      requireScope('organizations.read'),
      organization(),
      query(...pageQuery),
      async function list(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        const { id: organizationId } = ctx.state.organization;
        ctx.body = await listMembers({ organizationId, limit, after, connection: connectionOf(ctx) });
      },
    ),
  );

  router.get(
    '/:organizationId/members/:userId',
    answers(200, memberResource, 'not_found'),
    endpoint(
      signedIn,
      requireScope('organizations.read'),
      organization(),
      query({}),
      async function show(ctx) {
        const { id: organizationId } = ctx.state.organization;
        const who = { organizationId, userId: ctx.params.userId as string };
        ctx.body = await memberOf({ ...who, connection: connectionOf(ctx) });
      },
    ),
  );

  router.patch(
    '/:organizationId/members/:userId',
    answers(200, memberResource, 'last_owner', 'overloaded'),
    endpoint(
      signedIn,
      organization(),
      manage,
      body({}, { role: roleName, teamIds: teamIdList }),
      async function update(ctx) {
        const userId = ctx.params.userId as string;
        ctx.body = await updateMember({ ...ctx.request.body, ...byMember(ctx, shared), userId });
      },
    ),
  );

  router.delete(
    '/:organizationId/members/:userId',
    answers(204, null, 'last_owner', 'overloaded'),
    endpoint(signedIn, organization(), manage, query({}), async function remove(ctx) {
      const userId = ctx.params.userId as string;
      await removeMember({ ...byMember(ctx, shared), userId });
      done(ctx);
    }),
  );

  router.post(
    '/:organizationId/leave',
    answers(204, null, 'last_owner', 'overloaded'),
    endpoint(bySession, organization(), body({}), async function leave(ctx) {
      const { id: organizationId } = ctx.state.organization;
      await leaveOrganization({ ...asked(ctx, shared), organizationId, userId: ctx.state.user.id });
      done(ctx);
    }),
  );

  router.post(
    '/:organizationId/transfer',
    answers(200, memberResource, 'last_owner', 'conflict', 'overloaded'),
    endpoint(
      bySession,
      organization(),
      requireOrganizationRole('owner'),
      body({ userId: Joi.string().max(100) }),
      async function transfer(ctx) {
        const { id: organizationId } = ctx.state.organization;
        const hands = { from: ctx.state.user.id, to: ctx.request.body.userId };
        ctx.body = await transferOwnership({ ...asked(ctx, shared), organizationId, ...hands });
      },
    ),
  );
}
