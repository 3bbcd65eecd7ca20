import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requireRecentSignIn } from '../../middleware/require-recent-sign-in.js';
import { requireScope } from '../../middleware/require-scope.js';
import { requireReach } from '../../middleware/subject-of.js';
import type { Fields } from '../../middleware/validation.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { changeEmail, confirmEmail } from '../../services/identity/change-email.js';
import { personName } from '../../services/identity/create-user.js';
import { updateProfile } from '../../services/identity/update-profile.js';
import { accepted, asked, done } from '../answers.js';
import { statusResource, userResource } from '../resources.js';

/** One's own user. */
export function profileRoutes(router: Router, shared: ReadSharedOptions, ownFields: Fields): void {
  router.get(
    '/profile',
    endpoint(
      query({}),
      authenticate(shared),
      requireScope('profile.read'),
      answers(200, userResource(shared)),
      function show(ctx) {
        const { user } = ctx.state;
        requireReach(ctx, { type: 'user', id: user.id });
        ctx.body = shared.showUser(user);
      },
    ),
  );

  router.patch(
    '/profile',
    endpoint(
      body({}, { name: personName.allow(null), ...ownFields }),
      authenticate({ ...shared, accept: ['session'] }),
      answers(200, userResource(shared)),
      async function update(ctx) {
        const { name, ...fields } = ctx.request.body;
        const change = { userId: ctx.state.user.id, name, fields };
        ctx.body = shared.showUser(await updateProfile({ ...asked(ctx, shared), ...change }));
      },
    ),
  );
}

/** Change of one's address. */
export function emailRoutes(router: Router, shared: ReadSharedOptions): void {
  router.post(
    '/email/change',
    endpoint(
      body({ email: emailSchema }),
      authenticate({ ...shared, accept: ['session'] }),
      requireRecentSignIn(),
      answers(202, statusResource('sent'), 'rate_limited'),
      async function change(ctx) {
        const userId = ctx.state.user.id;
        await changeEmail({ ...asked(ctx, shared), userId, ...ctx.request.body });
        accepted(ctx, { status: 'sent' });
      },
    ),
  );

  router.post(
    '/email/confirm',
    body({ token: Joi.string().max(200) }),
    answers(204, null, 'token_used', 'email_taken', 'rate_limited'),
    async function confirm(ctx) {
      await confirmEmail({ ...asked(ctx, shared), ...ctx.request.body });
      done(ctx);
    },
  );
}
