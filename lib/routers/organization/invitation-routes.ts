import type Router from '@koa/router';
import type { ParameterizedContext } from 'koa';
import { sendsMail } from '../../mail/enqueue-mail.js';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { type InOrganization, organization } from '../../middleware/organization.js';
import { query } from '../../middleware/query.js';
import { rateLimit } from '../../middleware/rate-limit.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { requireScope } from '../../middleware/require-scope.js';
import { connectionOf } from '../../runtime/connection.js';
import { idText } from '../../runtime/ids.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { inviteMember } from '../../services/tenancy/invitations/invite-member.js';
import { listInvitations } from '../../services/tenancy/invitations/list-invitations.js';
import { resendInvitation } from '../../services/tenancy/invitations/resend-invitation.js';
import { revokeInvitation } from '../../services/tenancy/invitations/revoke-invitation.js';
import { roleName, teamIdList } from '../../services/tenancy/members/add-member.js';
import { created, done } from '../answers.js';
import { listOf } from '../resources.js';
import { byMember } from './by-member.js';
import { invitationResource } from './resources.js';

/** The invitations of an organization; those that need mail only where the application sends some. */
export function invitationRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const manage = requirePermission('organization.invitations.manage');

  router.get(
    '/:organizationId/invitations',
    answers(200, listOf(invitationResource)),
    endpoint(
      signedIn,
      requireScope('organizations.read'),
      organization(),
      query(...pageQuery),
      async function list(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        const { id: organizationId } = ctx.state.organization;
        ctx.body = await listInvitations({ organizationId, limit, after, connection: connectionOf(ctx) });
      },
    ),
  );

  router.delete(
    '/:organizationId/invitations/:invitationId',
    answers(204, null, 'overloaded'),
    endpoint(signedIn, organization(), manage, query({}), async function revoke(ctx) {
      const invitationId = ctx.params.invitationId as string;
      await revokeInvitation({ ...byMember(ctx, shared), invitationId });
      done(ctx);
    }),
  );

  if (sendsMail(shared)) sendingRoutes(router, shared);
}

function sendingRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const manage = requirePermission('organization.invitations.manage');
  const perOrganization = { points: 100, per: 'minute', by: 'organization', name: 'invitations' } as const;
  const named = (ctx: ParameterizedContext<InOrganization>) =>
    `${ctx.state.organization.id} ${idText(ctx.params.invitationId as string)}`; // capitals in a path name the same

  router.post(
    '/:organizationId/invitations',
    answers(201, invitationResource, 'conflict', 'already_member', 'seats_exhausted', 'overloaded'),
    endpoint(
      signedIn,
      organization(),
      manage,
      body({ email: emailSchema }, { role: roleName, teamIds: teamIdList }),
      rateLimit({ ...shared, ...perOrganization }),
      async function invite(ctx) {
        created(ctx, await inviteMember({ ...ctx.request.body, ...byMember(ctx, shared) }));
      },
    ),
  );

  router.post(
    '/:organizationId/invitations/:invitationId/resend',
    answers(200, invitationResource, 'seats_exhausted', 'overloaded'),
    endpoint(
      signedIn,
      organization(),
      manage,
      body({}),
      rateLimit({ ...shared, points: 5, per: 'hour', by: named, name: 'invitation mails' }),
      async function resend(ctx) {
        const invitationId = ctx.params.invitationId as string;
        ctx.body = await resendInvitation({ ...byMember(ctx, shared), invitationId });
      },
    ),
  );
}
