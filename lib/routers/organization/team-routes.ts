import type Router from '@koa/router';
import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import { answers } from '../../middleware/answers.js';
import { authenticate, type SignedIn } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { type InOrganization, organization } from '../../middleware/organization.js';
import { query } from '../../middleware/query.js';
import { rateLimit } from '../../middleware/rate-limit.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { requireScope } from '../../middleware/require-scope.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { listMembers } from '../../services/tenancy/members/list-members.js';
import { shownName } from '../../services/tenancy/names.js';
import { addTeamMember } from '../../services/tenancy/teams/add-team-member.js';
import { createTeam } from '../../services/tenancy/teams/create-team.js';
import { deleteTeam } from '../../services/tenancy/teams/delete-team.js';
import { listTeams } from '../../services/tenancy/teams/list-teams.js';
import { removeTeamMember } from '../../services/tenancy/teams/remove-team-member.js';
import { renameTeam } from '../../services/tenancy/teams/rename-team.js';
import { setCurrentTeam } from '../../services/tenancy/teams/set-current-team.js';
import { asked, created, done } from '../answers.js';
import { listOf } from '../resources.js';
import { byMember } from './by-member.js';
import { memberResource, membershipResource, teamResource } from './resources.js';

/** The teams of an organization. */
export function teamRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const readable = requireScope('organizations.read');
  const manage = requirePermission('organization.teams.manage');
  const named = (ctx: ParameterizedContext) => ({ teamId: ctx.params.teamId as string });

  router.get(
    '/:organizationId/teams',
    answers(200, listOf(teamResource)),
    endpoint(signedIn, readable, organization(), query(...pageQuery), async function list(ctx) {
      const { limit, cursor: after } = ctx.state.query;
      const { id: organizationId } = ctx.state.organization;
      ctx.body = await listTeams({ organizationId, limit, after, connection: connectionOf(ctx) });
    }),
  );

  router.post(
    '/:organizationId/teams',
    answers(201, teamResource, 'conflict', 'overloaded'),
    endpoint(signedIn, organization(), manage, body({ name: shownName }), async function create(ctx) {
      created(ctx, await createTeam({ ...byMember(ctx, shared), ...ctx.request.body }));
    }),
  );

  router.patch(
    '/:organizationId/teams/:teamId',
    answers(200, teamResource, 'conflict', 'overloaded'),
    endpoint(signedIn, organization(), manage, body({ name: shownName }), async function rename(ctx) {
      ctx.body = await renameTeam({ ...byMember(ctx, shared), ...named(ctx), ...ctx.request.body });
    }),
  );

  router.delete(
    '/:organizationId/teams/:teamId',
    answers(204, null, 'overloaded'),
    endpoint(signedIn, organization(), manage, query({}), async function remove(ctx) {
      await deleteTeam({ ...byMember(ctx, shared), ...named(ctx) });
      done(ctx);
    }),
  );
}

/** Who is in a team, and which team a member works in. */
export function teamMemberRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const manage = requirePermission('organization.teams.manage');
  const by = (ctx: ParameterizedContext<SignedIn & InOrganization>) => ({
    ...byMember(ctx, shared),
    teamId: ctx.params.teamId as string,
    userId: ctx.params.userId as string,
  });

  router.get(
    '/:organizationId/teams/:teamId/members',
    answers(200, listOf(memberResource)),
    endpoint(
      signedIn,
      requireScope('organizations.read'),
      organization(),
      query(...pageQuery),
      async function list(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        const which = { organizationId: ctx.state.organization.id, teamId: ctx.params.teamId as string };
        ctx.body = await listMembers({ ...which, limit, after, connection: connectionOf(ctx) });
      },
    ),
  );

  router.put(
    '/:organizationId/teams/:teamId/members/:userId',
    answers(200, memberResource, 'conflict', 'overloaded'),
    endpoint(signedIn, organization(), manage, body({}), async function add(ctx) {
      ctx.body = await addTeamMember(by(ctx));
    }),
  );

  router.delete(
    '/:organizationId/teams/:teamId/members/:userId',
    answers(204, null, 'overloaded'),
    endpoint(signedIn, organization(), manage, query({}), async function remove(ctx) {
      await removeTeamMember(by(ctx));
      done(ctx);
    }),
  );

  router.put(
    '/:organizationId/current-team',
    answers(200, membershipResource, 'overloaded'),
    endpoint(
      authenticate({ ...shared, accept: ['session'] }),
      organization(),
      rateLimit({ ...shared, points: 120, per: 'minute', by: 'user', name: 'current team' }),
      body({ teamId: Joi.string().max(100).allow(null) }),
      async function choose(ctx) {
        const who = { organizationId: ctx.state.organization.id, userId: ctx.state.user.id };
        ctx.body = await setCurrentTeam({ ...asked(ctx, shared), ...who, ...ctx.request.body });
      },
    ),
  );
}
