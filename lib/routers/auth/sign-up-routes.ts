import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { body } from '../../middleware/body.js';
import type { Fields } from '../../middleware/validation.js';
import { clearCookie, readCookie, setCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { personName } from '../../services/identity/create-user.js';
import { newPassword } from '../../services/identity/new-password.js';
import { sendVerification } from '../../services/identity/send-verification.js';
import { signUp } from '../../services/identity/sign-up.js';
import { verifyEmail } from '../../services/identity/verify-email.js';
import { accepted, asked } from '../answers.js';
import { signedInResource, statusResource } from '../resources.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';

const day = 86_400;

/** Sign-up with a verification link, or without where that is off. */
export function signUpRoutes(router: Router, shared: ReadSharedOptions, ownFields: Fields): void {
  const begun = shared.emailVerification
    ? answers(202, statusResource('verification_sent'), 'rate_limited', 'overloaded')
    : answers(201, signedInResource(shared), 'email_taken', 'rate_limited', 'overloaded');

  router.post(
    '/signup',
    body({ email: emailSchema, password: newPassword }, { name: personName, ...delivery, ...ownFields }),
    begun,
    async function begin(ctx) {
      const { email, password, name, tokenDelivery, ...fields } = ctx.request.body;
      const person = { email, password, name, fields, delivery: tokenDelivery };
      const made = await signUp({ ...asked(ctx, shared), ...person });
      if ('user' in made) {
        answerSignedIn(ctx, made, tokenDelivery, shared);
        ctx.status = 201;
        ctx.set('Location', '/auth/profile');
        return;
      }
      setCookie(ctx, 'sign_up', made.binding, day, shared.cookies);
      accepted(ctx, { status: 'verification_sent' });
    },
  );
  if (!shared.emailVerification) return;

  router.post(
    '/signup/send-link',
    body({ email: emailSchema }),
    answers(202, statusResource('verification_sent'), 'rate_limited'),
    async function sendLink(ctx) {
      const binding = readCookie(ctx, 'sign_up', shared.cookies);
      const device = readCookie(ctx, 'device', shared.cookies);
      const whose = { ...ctx.request.body, binding, device };
      await sendVerification({ ...asked(ctx, shared), ...whose });
      accepted(ctx, { status: 'verification_sent' });
    },
  );

  router.post(
    '/signup/verify',
    body({ token: Joi.string().max(200) }, { password: Joi.string().max(256), ...delivery }),
    answers(200, signedInResource(shared), 'token_used', 'second_factor_required', 'rate_limited'),
    async function verify(ctx) {
      const { token, password, tokenDelivery } = ctx.request.body;
      const binding = readCookie(ctx, 'sign_up', shared.cookies);
      const proof = { token, password, binding, delivery: tokenDelivery };
      const signedIn = await verifyEmail({ ...asked(ctx, shared), ...proof });
      if (binding) clearCookie(ctx, 'sign_up', shared.cookies);
      answerSignedIn(ctx, signedIn, tokenDelivery, shared);
    },
  );
}
