import type Router from '@koa/router';
import Joi from 'joi';
import { sendsMail } from '../../mail/enqueue-mail.js';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { refuseOldSignIn, requireRecentSignIn } from '../../middleware/require-recent-sign-in.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { deactivateUser } from '../../services/identity/deactivate-user.js';
import { eraseSubject } from '../../services/identity/erase-subject.js';
import { exportSubject } from '../../services/identity/export-subject.js';
import { reauthenticate } from '../../services/identity/reauthenticate.js';
import { accepted, asked, done } from '../answers.js';
import { anyObject, statusResource } from '../resources.js';
import { clearSessionCookies } from './answer-signed-in.js';
import type { AuthFeature } from './features.js';

/** The end of one's account, and what is held of it. */
export function accountRoutes(
  router: Router,
  shared: ReadSharedOptions,
  features: ReadonlySet<AuthFeature>,
): void {
  const bySession = authenticate({ ...shared, accept: ['session'] });
  const mail = sendsMail(shared);

  if (features.has('deactivation')) {
    router.post(
      '/deactivate',
      endpoint(
        body({}, { password: Joi.string().max(256) }),
        bySession,
        answers(
          204,
          null,
          'credentials_invalid',
          'reauthentication_required',
          'rate_limited',
          'last_owner',
          'last_admin',
        ),
        async function deactivate(ctx) {
          const { password } = ctx.request.body;
          const { user, session } = ctx.state;
          const by = { ...asked(ctx, shared), userId: user.id };
          if (password !== undefined) await reauthenticate({ ...by, sessionId: session.id, password });
          else refuseOldSignIn(ctx);
          await deactivateUser(by);
          clearSessionCookies(ctx, shared);
          done(ctx);
        },
      ),
    );
  }

  if (features.has('dataExport')) {
    router.get(
      '/export',
      endpoint(query({}), bySession, answers(200, anyObject), async function exportOwn(ctx) {
        const subject = { type: 'user', id: ctx.state.user.id } as const;
        ctx.set('Cache-Control', 'no-store');
        ctx.body = await exportSubject({ subject, connection: connectionOf(ctx) });
      }),
    );
  }

  if (features.has('erasure')) {
    router.delete(
      '/account',
      endpoint(
        query({}),
        bySession,
        requireRecentSignIn(),
        answers(202, statusResource('erased'), 'last_owner', 'last_admin'),
        async function erase(ctx) {
          const subject = { type: 'user', id: ctx.state.user.id } as const;
          await eraseSubject({ ...asked(ctx, shared), subject, notify: mail });
          clearSessionCookies(ctx, shared);
          accepted(ctx, { status: 'erased' });
        },
      ),
    );
  }
}
