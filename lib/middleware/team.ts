import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { connectionOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import type { Team } from '../services/tenancy/as-organization.js';
import { teamOf } from '../services/tenancy/team-of.js';
import { signedIn } from './authenticate.js';
import type { Guard } from './guard.js';
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

  return async function team(ctx, next) {
    signedIn(ctx as { state: object });
    const state = ctx.state as Partial<MaybeInOrganization> & { team: Team | null };
    if (state.organization === undefined) {
      throw refuse('internal', { detail: 'team() needs organization() before it on this route' });
    }
    state.team = await found(ctx, connectionOf(ctx, read.connection), state);
    await next();
  };
}

async function found(
  ctx: ParameterizedContext,
  connection: Connection,
  { organization, membership }: Partial<MaybeInOrganization>,
): Promise<Team | null> {
  const named =
    (ctx.params as Record<string, string> | undefined)?.teamId ?? (ctx.get('X-Team-Id') || undefined);
  const mine = membership?.teamIds ?? [];
  if (named === undefined) {
    const current = membership?.currentTeamId;
    return organization && current && mine.includes(current)
      ? teamOf(connection, organization.id, current)
      : null;
  }
  const id = named.toLowerCase();
  if (!organization || !mine.includes(id)) throw refuse('not_found');
  return teamOf(connection, organization.id, id);
}
