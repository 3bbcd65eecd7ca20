import type Router from '@koa/router';
import type { ParameterizedContext } from 'koa';
import { refuse } from '../../errors.js';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { organization } from '../../middleware/organization.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { requireScope } from '../../middleware/require-scope.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { deleteRole } from '../../services/roles/delete-role.js';
import { listRoles } from '../../services/roles/list-roles.js';
import { isRoleName, permissionCodes, roleName } from '../../services/roles/role-fields.js';
import { saveRole } from '../../services/roles/save-role.js';
import { created, done } from '../answers.js';
import { listOf, roleResource } from '../resources.js';
import { byMember } from './by-member.js';

/** The roles that an organization makes for itself. */
export function roleRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const here = organization();
  const manage = requirePermission('organization.roles.manage');

  router.get(
    '/:organizationId/roles',
    answers(200, listOf(roleResource)),
    endpoint(
      signedIn,
      requireScope('organizations.read'),
      here,
      query(...pageQuery),
      async function list(ctx) {
        const { limit, cursor: after } = ctx.state.query;
        const organizationId = ctx.state.organization.id;
        ctx.body = await listRoles({ organizationId, limit, after, connection: connectionOf(ctx) });
      },
    ),
  );

  router.post(
    '/:organizationId/roles',
    answers(201, roleResource, 'conflict', 'overloaded'),
    endpoint(
      signedIn,
      here,
      manage,
      body({ name: roleName, permissions: permissionCodes }),
      async function create(ctx) {
        const { role } = await saveRole({ ...byMember(ctx, shared), ...ctx.request.body, only: 'create' });
        created(ctx, role, `${ctx.path.replace(/\/$/, '')}/${encodeURIComponent(role.name)}`);
      },
    ),
  );

  router.patch(
    '/:organizationId/roles/:name',
    answers(200, roleResource, 'conflict', 'overloaded'),
    endpoint(signedIn, here, manage, body({}, { permissions: permissionCodes }), async function change(ctx) {
      const change = { ...ctx.request.body, name: nameIn(ctx) };
      const { role } = await saveRole({ ...byMember(ctx, shared), ...change, only: 'change' });
      ctx.body = role;
    }),
  );

  router.delete(
    '/:organizationId/roles/:name',
    answers(204, null, 'conflict', 'overloaded'),
    endpoint(signedIn, here, manage, query({}), async function remove(ctx) {
      await deleteRole({ ...byMember(ctx, shared), name: nameIn(ctx) });
      done(ctx);
    }),
  );
}

/** The role that the path names; what cannot be the name of one is that of an unknown one. */
function nameIn(ctx: ParameterizedContext): string {
  const { name } = ctx.params as { name?: string };
  if (!isRoleName(name)) throw refuse('not_found');
  return name;
}
