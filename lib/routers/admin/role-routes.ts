import type Router from '@koa/router';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { invalid } from '../../middleware/validation.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { pageQuery } from '../../runtime/page.js';
import { deleteRole } from '../../services/roles/delete-role.js';
import { listRoles } from '../../services/roles/list-roles.js';
import { managementRules } from '../../services/roles/management.js';
import { isRoleName, permissionCodes } from '../../services/roles/role-fields.js';
import { roleOf } from '../../services/roles/role-of.js';
import { saveRole } from '../../services/roles/save-role.js';
import { created, done } from '../answers.js';
import { listOf, roleResource } from '../resources.js';
import { byActor } from './by-actor.js';

/** The roles of the whole application. */
export function globalRoleRoutes(router: Router, shared: ReadSharedOptions): void {
  const signedIn = authenticate(shared);
  const read = requirePermission('admin.roles.read', { global: true });
  const manage = requirePermission('admin.roles.manage', { global: true });

  router.get(
    '/roles',
    answers(200, listOf(roleResource)),
    endpoint(signedIn, read, query(...pageQuery), async function list(ctx) {
      const { limit, cursor: after } = ctx.state.query;
      ctx.body = await listRoles({ limit, after, connection: connectionOf(ctx) });
    }),
  );

  router.get(
    '/roles/:name',
    answers(200, roleResource, 'not_found'),
    endpoint(signedIn, read, query({}), async function show(ctx) {
      ctx.body = await roleOf(connectionOf(ctx), ctx.params.name as string);
    }),
  );

  router.put(
    '/roles/:name',
    answers(200, roleResource, 'conflict', 'overloaded'),
    answers(201, roleResource),
    endpoint(
      signedIn,
      manage,
      body({}, { permissions: permissionCodes, managementRules: managementRules.allow(null) }),
      async function put(ctx) {
        const name = ctx.params.name as string;
        if (!isRoleName(name)) throw invalid([{ path: 'name', message: 'must be the name of a role' }]);
        const { permissions = [], managementRules = null } = ctx.request.body; // what is left out is taken away
        const saved = await saveRole({ ...byActor(ctx, shared), name, permissions, managementRules });
        if (saved.created) created(ctx, saved.role, ctx.path);
        else ctx.body = saved.role;
      },
    ),
  );

  router.delete(
    '/roles/:name',
    answers(204, null, 'not_found', 'conflict', 'overloaded'),
    endpoint(signedIn, manage, query({}), async function remove(ctx) {
      await deleteRole({ ...byActor(ctx, shared), name: ctx.params.name as string });
      done(ctx);
    }),
  );
}
