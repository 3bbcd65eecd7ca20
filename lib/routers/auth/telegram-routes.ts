import type Router from '@koa/router';
import Joi from 'joi';
import { refuse } from '../../errors.js';
import { body } from '../../middleware/body.js';
import { connectionOf } from '../../runtime/connection.js';
import { signInByIdentity } from '../../services/federation/sign-in-by-identity.js';
import { identityOfTelegram } from '../../services/federation/telegram-payload.js';
import { originOf } from '../answers.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';
import type { OAuthShared } from './oauth-shared.js';

/** The widget gives numbers to a page's script, and their digits to a page that it redirects to. */
const digits = Joi.alternatives(
  Joi.number().integer().positive(),
  Joi.string().pattern(/^[1-9]\d{0,18}$/),
) as Joi.AnySchema<number | string>;

const text = Joi.string().allow('').max(1_000);

/** Sign-in by Telegram's login widget. */
export function telegramRoutes(router: Router, shared: OAuthShared): void {
  router.post(
    '/oauth/telegram',
    body(
      { id: digits, auth_date: digits, hash: Joi.string().hex().length(64) },
      { first_name: text, last_name: text, username: text, photo_url: text, ...delivery },
    ),
    async function signInByTelegram(ctx) {
      const { telegram } = shared.providers;
      if (!telegram) throw refuse('not_found');
      const { tokenDelivery, ...payload } = ctx.request.body;
      const connection = connectionOf(ctx, shared.connection);
      const identity = await identityOfTelegram(payload, telegram.botToken, connection);
      const input = { ...shared, ...originOf(ctx, shared), connection, identity, delivery: tokenDelivery };
      answerSignedIn(ctx, await signInByIdentity(input), tokenDelivery, shared);
    },
  );
}
