import { refuse } from '../errors.js';
import { connectionOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { type Tenant, type TenantOf, tenantFor } from '../tenancy/tenant-of.js';
import type { SignedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';
import type { InOrganization } from './organization.js';
import type { InTeam } from './team.js';

/** What `tenant()` adds to `ctx.state`. */
export interface WithTenant {
  readonly tenant: Tenant;
}

/**
 * Binds the application's data to the organization of the request, and models by team to its team: `ctx.state.tenant.model(Project)`
 * reads and writes nobody else's. Without a team such a model has the user's own documents only. Needs `organization()` upstream, and for
 * models by team `team()`.
 *
 * Refuses with 400 `organization_required` where `organization({ optional: true })` found none; 500 `internal` without
 * `organization()`. A model by team without `team()` upstream is a TypeError where its handle is asked for.
 *
 * @example api.get('/projects', organization(), team(), tenant(), async (ctx) => { ctx.body = await ctx.state.tenant.model(Project).find(); });
 */
export function tenant(options: SharedOptions = {}): Guard<InOrganization, WithTenant> {
  const read = readOptions('tenant', options);

  return described({ refuses: ['organization_required'] }, function tenant(ctx, next) {
    const state = ctx.state as Partial<InOrganization & InTeam & SignedIn> & { tenant: Tenant };
    if (state.organization === undefined)
      throw refuse('internal', { detail: 'tenant() needs organization() before it on this route' });
    if (state.organization === null) throw refuse('organization_required');
    state.tenant = tenantFor(connectionOf(ctx, read.connection), whoOf(state));
    return next();
  });
}

/** Where nobody has looked for a team, nobody may say that there is none. */
function whoOf({
  organization,
  membership,
  team,
  user,
}: Partial<InOrganization & InTeam & SignedIn>): TenantOf {
  const organizationId = organization?.id ?? '';
  if (team === undefined) return { organizationId };
  return { organizationId, teamId: team?.id, userId: user?.id, teamIds: team ? [] : membership?.teamIds };
}
