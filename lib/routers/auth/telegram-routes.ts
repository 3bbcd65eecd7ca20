import type Router from '@koa/router';
import Joi from 'joi';
import type { Origin } from '../../audit/record-audit.js';
import { refuse } from '../../errors.js';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { requireRecentSignIn } from '../../middleware/require-recent-sign-in.js';
import type { ProvidedIdentity } from '../../services/federation/identity-of.js';
import { linkIdentity } from '../../services/federation/link-identity.js';
import { signInByIdentity } from '../../services/federation/sign-in-by-identity.js';
import { identityOfTelegram, type TelegramPayload } from '../../services/federation/telegram-payload.js';
import { type Guess, guess } from '../../services/identity/guessing-budget.js';
import { asked } from '../answers.js';
import { signedInResource, urlResource } from '../resources.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';
import type { OAuthShared } from './oauth-shared.js';

/** The widget gives numbers to a page's script, and their digits to a page that it redirects to. */
const digits = Joi.alternatives(
  Joi.number().integer().positive(),
  Joi.string().pattern(/^[1-9]\d{0,18}$/),
) as Joi.AnySchema<number | string>;

const text = Joi.string().allow('').max(1_000);

/** What the widget gives. */
const signed = { id: digits, auth_date: digits, hash: Joi.string().hex().length(64) };
const told = { first_name: text, last_name: text, username: text, photo_url: text };

/** Sign-in, and linking, by Telegram's login widget. */
export function telegramRoutes(router: Router, shared: OAuthShared): void {
  const bySession = authenticate({ ...shared, accept: ['session'] });
  const recent = requireRecentSignIn();

  router.post(
    '/oauth/telegram',
    body(signed, { ...told, ...delivery }),
    answers(
      200,
      signedInResource(shared),
      'not_found',
      'credentials_invalid',
      'second_factor_required',
      'rate_limited',
    ),
    async function signInByTelegram(ctx) {
      const { tokenDelivery, ...payload } = ctx.request.body;
      const by = asked(ctx, shared);
      const identity = await identityOf(payload, by);
      const signedIn = await signInByIdentity({ ...by, identity, delivery: tokenDelivery });
      answerSignedIn(ctx, signedIn, tokenDelivery, shared);
    },
  );

  router.post(
    '/providers/telegram',
    endpoint(
      body(signed, told),
      bySession,
      recent,
      answers(200, urlResource, 'not_found', 'credentials_invalid', 'conflict', 'rate_limited'),
      async function linkTelegram(ctx) {
        const { user, session } = ctx.state;
        const by = asked(ctx, shared);
        const identity = await identityOf(ctx.request.body, by);
        await linkIdentity({ ...by, userId: user.id, sessionId: session.id, identity });
        ctx.body = { url: null }; // there is nowhere to go: it is linked
      },
    ),
  );
}

function identityOf(
  payload: TelegramPayload,
  { providers: { telegram }, ...by }: OAuthShared & Origin & Pick<Guess, 'connection'>,
): Promise<ProvidedIdentity> {
  if (!telegram) throw refuse('not_found');
  return guess({ ...by, route: 'oauth', failure: 'user.sign-in-failed' }, () =>
    identityOfTelegram(payload, telegram.botToken, by.connection),
  );
}
