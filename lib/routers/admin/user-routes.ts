import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requirePermission } from '../../middleware/require-permission.js';
import { connectionOf } from '../../runtime/connection.js';
import { sortedPageQuery } from '../../runtime/sorted-page.js';
import { findUser } from '../../services/administration/find-user.js';
import { listUsers, userSorts } from '../../services/administration/list-users.js';
import { unlockUser } from '../../services/administration/unlock-user.js';
import { updateUser } from '../../services/administration/update-user.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { checkUser } from '../../services/identity/check-user.js';
import { createUser, newUserSchemas, personName } from '../../services/identity/create-user.js';
import { roleName } from '../../services/roles/role-fields.js';
import { created, done } from '../answers.js';
import { listOf, userResource } from '../resources.js';
import type { ReadAdminOptions } from './admin-options.js';
import { byActor, byRules } from './by-actor.js';

const roles = Joi.array().items(roleName).max(50) as Joi.ArraySchema<string[]>;
const status = Joi.valid('active', 'inactive') as Joi.AnySchema<'active' | 'inactive'>;
const [limit, cursor] = sortedPageQuery;
const search = {
  ...cursor,
  q: personName.min(1),
  role: roleName,
  status,
  sort: Joi.valid(...userSorts) as Joi.AnySchema<(typeof userSorts)[number]>,
};

/** The users of the application: who may be made, changed and deactivated is for the management rules of the roles of who asks. */
export function userRoutes(router: Router, options: ReadAdminOptions): void {
  const { userFields, ...shared } = options;
  const signedIn = authenticate(shared);
  const read = requirePermission('admin.users.read', { global: true });
  const manage = requirePermission('admin.users.manage', { global: true });
  const rules = byRules();
  const user = userResource(shared);
  const facts = { name: personName.allow(null), emailVerified: Joi.boolean(), ...userFields };

  router.get(
    '/users',
    answers(200, listOf(user)),
    endpoint(signedIn, read, query(limit, search), async function list(ctx) {
      const { cursor: after, ...which } = ctx.state.query;
      const page = await listUsers({ ...which, after, connection: connectionOf(ctx) });
      ctx.body = { ...page, items: page.items.map((user) => shared.showUser(user)) };
    }),
  );

  router.post(
    '/users',
    answers(201, user, 'email_taken', 'overloaded'),
    endpoint(
      signedIn,
      rules,
      body({ email: emailSchema }, { ...facts, password: newUserSchemas.password, roles }),
      async function create(ctx) {
        const { email, password, roles, name, emailVerified, ...fields } = ctx.request.body;
        const said = { email, password, roles, name: name ?? undefined, emailVerified };
        await checkUser(connectionOf(ctx), { email, name: name ?? null, ...fields });
        const user = await createUser({ ...byActor(ctx, shared), ...said, fields });
        created(ctx, shared.showUser(user), `${ctx.path.replace(/\/$/, '')}/${encodeURIComponent(user.id)}`);
      },
    ),
  );

  router.get(
    '/users/:userId',
    answers(200, user, 'not_found'),
    endpoint(signedIn, read, query({}), async function show(ctx) {
      ctx.body = shared.showUser(await findUser(connectionOf(ctx), ctx.params.userId as string));
    }),
  );

  router.patch(
    '/users/:userId',
    answers(200, user, 'not_found', 'last_admin', 'last_owner', 'overloaded'),
    endpoint(signedIn, rules, body({}, { ...facts, roles, status }), async function change(ctx) {
      const { roles, status, name, emailVerified, ...own } = ctx.request.body;
      const fields = Object.keys(own).length > 0 ? own : undefined;
      const said = { userId: ctx.params.userId as string, roles, status, name, emailVerified, fields };
      ctx.body = shared.showUser(await updateUser({ ...byActor(ctx, shared), ...said }));
    }),
  );

  router.delete(
    '/users/:userId',
    answers(204, null, 'not_found', 'last_admin', 'last_owner', 'overloaded'),
    endpoint(signedIn, rules, query({}), async function deactivate(ctx) {
      const userId = ctx.params.userId as string;
      await updateUser({ ...byActor(ctx, shared), userId, status: 'inactive' });
      done(ctx);
    }),
  );

  router.post(
    '/users/:userId/unlock',
    answers(204, null, 'not_found'),
    endpoint(signedIn, manage, body({}), async function unlock(ctx) {
      await unlockUser({ ...byActor(ctx, shared), userId: ctx.params.userId as string });
      done(ctx);
    }),
  );
}
