import type { ParameterizedContext } from 'koa';
import type { SignedIn } from '../../middleware/authenticate.js';
import type { InOrganization } from '../../middleware/organization.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { asked } from '../answers.js';

/** What every service is told that changes an organization: what all are, which one, who acts, and what their API key restricts them to. */
export const byMember = (
  ctx: ParameterizedContext<SignedIn & InOrganization>,
  shared: ReadSharedOptions,
) => ({
  ...asked(ctx, shared),
  organizationId: ctx.state.organization.id,
  actor: ctx.state.user.id,
  scopes: ctx.state.apiKey?.scopes,
});
