import type Router from '@koa/router';
import Joi from 'joi';
import { body } from '../../middleware/body.js';
import { readCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { sendOtp } from '../../services/identity/forgot-password.js';
import { verifyOtp } from '../../services/identity/verify-otp.js';
import { accepted, asked } from '../answers.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';

/** Sign-in by a code that comes by mail. */
export function otpRoutes(router: Router, shared: ReadSharedOptions): void {
  router.post('/otp/send', body({ email: emailSchema }), async function send(ctx) {
    const device = readCookie(ctx, 'device', shared.cookies);
    await sendOtp({ ...asked(ctx, shared), ...ctx.request.body, device });
    accepted(ctx, { status: 'sent' });
  });

  router.post(
    '/otp/verify',
    body({ email: emailSchema, code: Joi.string().max(16) }, delivery),
    async function verify(ctx) {
      const { email, code, tokenDelivery } = ctx.request.body;
      const device = readCookie(ctx, 'device', shared.cookies);
      const credentials = { email, code, device, delivery: tokenDelivery };
      const signedIn = await verifyOtp({ ...asked(ctx, shared), ...credentials });
      answerSignedIn(ctx, signedIn, tokenDelivery, shared);
    },
  );
}
