import Router from '@koa/router';
import { sendsMail } from '../mail/enqueue-mail.js';
import {
  type ReadSharedOptions,
  readOptions,
  type SharedOptions,
  verifyingKeys,
} from '../runtime/options.js';
import { insightRoutes } from './organization/insight-routes.js';
import { invitationRoutes } from './organization/invitation-routes.js';
import { memberRoutes } from './organization/member-routes.js';
import { organizationRoutes } from './organization/organization-routes.js';
import { roleRoutes } from './organization/role-routes.js';
import { teamMemberRoutes, teamRoutes } from './organization/team-routes.js';

/**
 * Organizations, under `/organizations`: one's own, their members, teams, roles and invitations, what they may use and their audit log. Any member reads; what
 * writes needs a permission each. `invitationRouter()` has what invited people do. Without mail nobody can be invited, so there are no routes for it.
 *
 * @throws {TypeError} also where there is mail but no `publicUrl`
 * @example app.use(organizationRouter({ keys }).routes());
 */
export function organizationRouter(options: SharedOptions): Router {
  const shared = readOptions('organizationRouter', options, verifyingKeys());
  if (sendsMail(shared)) requireLinks(shared);
  const router = new Router({ prefix: '/organizations' });
  organizationRoutes(router, shared);
  memberRoutes(router, shared);
  invitationRoutes(router, shared);
  roleRoutes(router, shared);
  teamRoutes(router, shared);
  teamMemberRoutes(router, shared);
  insightRoutes(router, shared);
  return router;
}

/** What the links in invitations need. */
function requireLinks({ publicUrl, keyring: [signer] }: ReadSharedOptions): void {
  const missing = publicUrl ? 'keys must begin with a private or secret key' : 'publicUrl is required';
  if (!publicUrl || !signer?.signs)
    throw new TypeError(`organizationRouter(): option ${missing} with mail: invitations have links`);
}
