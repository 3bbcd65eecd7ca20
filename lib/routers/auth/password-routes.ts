import type Router from '@koa/router';
import Joi from 'joi';
import { body } from '../../middleware/body.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { emailSchema } from '../../services/identity/canonical-email.js';
import { signIn } from '../../services/identity/sign-in.js';
import { originOf } from '../answers.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';

/** Sign-in by password. */
export function passwordRoutes(router: Router, shared: ReadSharedOptions): void {
  router.post(
    '/sign-in',
    body({ email: emailSchema, password: Joi.string().max(256) }, delivery),
    async function signInByPassword(ctx) {
      const { email, password, tokenDelivery } = ctx.request.body;
      const connection = connectionOf(ctx, shared.connection);
      const input = {
        ...shared,
        ...originOf(ctx, shared),
        connection,
        email,
        password,
        delivery: tokenDelivery,
      };
      answerSignedIn(ctx, await signIn(input), tokenDelivery, shared);
    },
  );
}
