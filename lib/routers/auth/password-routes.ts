import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { readCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { changePassword } from '../../services/identity/change-password.js';
import { forgotPassword } from '../../services/identity/forgot-password.js';
import { newPassword } from '../../services/identity/new-password.js';
import { checkResetToken, resetPassword } from '../../services/identity/reset-password.js';
import { signIn } from '../../services/identity/sign-in.js';
import { accepted, asked, done } from '../answers.js';
import { signedInResource, statusResource } from '../resources.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';

const token = Joi.string().max(200);
const known = Joi.string().max(256);

/** Sign-in by password, and its change. */
export function passwordRoutes(router: Router, shared: ReadSharedOptions): void {
  router.post(
    '/sign-in',
    body({ email: emailSchema, password: known }, delivery),
    answers(
      200,
      signedInResource(shared),
      'credentials_invalid',
      'second_factor_required',
      'email_unverified',
      'rate_limited',
      'overloaded',
    ),
    async function signInByPassword(ctx) {
      const { email, password, tokenDelivery } = ctx.request.body;
      const device = readCookie(ctx, 'device', shared.cookies);
      const credentials = { email, password, device, delivery: tokenDelivery };
      const signedIn = await signIn({ ...asked(ctx, shared), ...credentials });
      answerSignedIn(ctx, signedIn, tokenDelivery, shared);
    },
  );

  router.post(
    '/password/change',
    endpoint(
      body({ currentPassword: known, newPassword }),
      authenticate({ ...shared, accept: ['session'] }),
      answers(204, null, 'credentials_invalid', 'session_revoked', 'rate_limited', 'overloaded'),
      async function change(ctx) {
        const { user, session } = ctx.state;
        const ids = { userId: user.id, sessionId: session.id };
        await changePassword({ ...asked(ctx, shared), ...ctx.request.body, ...ids });
        done(ctx);
      },
    ),
  );
}

/** Reset of a forgotten password by a link. */
export function passwordResetRoutes(router: Router, shared: ReadSharedOptions): void {
  router.post(
    '/password/forgot',
    body({ email: emailSchema }),
    answers(202, statusResource('sent'), 'rate_limited'),
    async function forgot(ctx) {
      const device = readCookie(ctx, 'device', shared.cookies);
      await forgotPassword({ ...asked(ctx, shared), ...ctx.request.body, device });
      accepted(ctx, { status: 'sent' });
    },
  );

  router.post(
    '/password/verify-token',
    body({ token }),
    answers(204, null, 'token_used', 'rate_limited'),
    async function verifyToken(ctx) {
      await checkResetToken({ ...asked(ctx, shared), ...ctx.request.body });
      done(ctx);
    },
  );

  router.post(
    '/password/reset',
    body({ token, password: newPassword }),
    answers(204, null, 'token_used', 'rate_limited', 'overloaded'),
    async function reset(ctx) {
      await resetPassword({ ...asked(ctx, shared), ...ctx.request.body });
      done(ctx);
    },
  );
}
