import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { body } from '../../middleware/body.js';
import { readCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { sendOtp } from '../../services/identity/forgot-password.js';
import { verifyOtp } from '../../services/identity/verify-otp.js';
import { accepted, asked } from '../answers.js';
import { signedInResource, statusResource } from '../resources.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';

/** Sign-in by a code that comes by mail. */
export function otpRoutes(router: Router, shared: ReadSharedOptions): void {
  router.post(
    '/otp/send',
    body({ email: emailSchema }),
    answers(202, statusResource('sent'), 'rate_limited'),
    async function send(ctx) {
      const device = readCookie(ctx, 'device', shared.cookies);
      await sendOtp({ ...asked(ctx, shared), ...ctx.request.body, device });
      accepted(ctx, { status: 'sent' });
    },
  );

  router.post(
    '/otp/verify',
    body({ email: emailSchema, code: Joi.string().max(16) }, delivery),
    answers(200, signedInResource(shared), 'credentials_invalid', 'second_factor_required', 'rate_limited'),
    async function verify(ctx) {
      const { email, code, tokenDelivery } = ctx.request.body;
      const device = readCookie(ctx, 'device', shared.cookies);
      const credentials = { email, code, device, delivery: tokenDelivery };
      const signedIn = await verifyOtp({ ...asked(ctx, shared), ...credentials });
      answerSignedIn(ctx, signedIn, tokenDelivery, shared);
    },
  );
}
