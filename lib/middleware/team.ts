import { isTollgateError, refuse } from '../errors.js';
import { connectionOf, strictOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import type { Team } from '../services/tenancy/as-organization.js';
import { teamOf } from '../services/tenancy/team-of.js';
import { signedIn } from './authenticate.js';
import { described } from './described.js';
import type { Guard } from './guard.js';
import { namedIn } from './named-in.js';
import type { MaybeInOrganization } from './organization.js';

/** What `team()` adds to `ctx.state`: null when the request is about no team. */
export interface InTeam {
  readonly team: Team | null;
}

/**
 * Finds the team that a request is about: the path's `:teamId`, else the header `X-Team-Id`, else the current team of the
 * membership, else none. Needs `organization()` upstream.
 *
 * Refuses with 401 `token_missing`; 404 `not_found` when the named team does not exist, is another organization's, or does
 * not have the user as a member; 500 `internal` without `organization()`; 503 `database_unavailable`.
 *
 * @example api.get('/projects', organization(), team(), list);
 */
export function team(options: SharedOptions = {}): Guard<MaybeInOrganization, InTeam> {
  const read = readOptions('team', options);

  return described(
    { refuses: ['token_missing', 'not_found'], headers: ['X-Team-Id'] },
    async function team(ctx, next) {
      signedIn(ctx as { state: object });
      const state = ctx.state as Partial<MaybeInOrganization> & { team: Team | null };
      if (state.organization === undefined) {
        throw refuse('internal', { detail: 'team() needs organization() before it on this route' });
      }
      const { organization, membership } = state;
      const own = membership?.teamIds ?? [];
      const get = (teamId: string) => {
        if (!organization || !own.includes(teamId)) throw refuse('not_found');
        const which = { organizationId: organization.id, teamId, strict: strictOf(ctx, read.strict) };
        return teamOf(connectionOf(ctx, read.connection), which);
      };
      const named = namedIn(ctx, 'teamId', 'X-Team-Id');
      state.team = named ? await get(named) : await currentTeam(membership?.currentTeamId, get);
      await next();
    },
  );
}

/** The current team, unless it was deleted or left since. */
async function currentTeam(
  id: string | null | undefined,
  get: (id: string) => Team | Promise<Team>,
): Promise<Team | null> {
  if (!id) return null;
  try {
    return await get(id);
  } catch (error) {
    if (isTollgateError(error, 'not_found')) return null;
    throw error;
  }
}
