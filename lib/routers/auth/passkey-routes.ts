import type Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requireRecentSignIn } from '../../middleware/require-recent-sign-in.js';
import { connectionOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { addPasskey } from '../../services/factors/add-passkey.js';
import { challengePasskey } from '../../services/factors/challenge-passkey.js';
import { listPasskeys } from '../../services/factors/list-passkeys.js';
import { offerPasskey } from '../../services/factors/offer-passkey.js';
import {
  authenticationResponse,
  credentialFields,
  credentialOptions,
  passkeyId,
  registrationResponse,
} from '../../services/factors/passkey.js';
import { removePasskey } from '../../services/factors/remove-passkey.js';
import { signInByPasskey } from '../../services/factors/sign-in-by-passkey.js';
import { webauthn } from '../../services/factors/webauthn.js';
import { asked, done } from '../answers.js';
import { anyObject, listOf, passkeyResource, signedInResource } from '../resources.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';

/**
 * Passkeys (WebAuthn), where the option `passkeys` is given. What `…/options` answers goes to the browser as it is, and what the
 * browser answers is the body of the request that follows.
 */
export function passkeyRoutes(router: Router, shared: ReadSharedOptions): void {
  if (!shared.passkeys) return;
  webauthn(); // missing, it is missed at start and not by the first user
  const bySession = authenticate({ ...shared, accept: ['session'] });
  const recent = requireRecentSignIn();

  router.post('/passkeys/sign-in/options', body({}), answers(200, anyObject), async function challenge(ctx) {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = await challengePasskey(shared);
  });

  router.post(
    '/passkeys/sign-in',
    body({ ...credentialFields, response: authenticationResponse }, { ...credentialOptions, ...delivery }),
    answers(
      200,
      signedInResource(shared),
      'credentials_invalid',
      'token_used',
      'email_unverified',
      'rate_limited',
    ),
    async function signIn(ctx) {
      const { tokenDelivery, ...credential } = ctx.request.body;
      const input = { ...asked(ctx, shared), credential, delivery: tokenDelivery };
      answerSignedIn(ctx, await signInByPasskey(input), tokenDelivery, shared);
    },
  );

  router.post(
    '/passkeys/options',
    endpoint(body({}), bySession, recent, answers(200, anyObject), async function offer(ctx) {
      ctx.set('Cache-Control', 'no-store');
      ctx.body = await offerPasskey({ ...shared, connection: connectionOf(ctx), userId: ctx.state.user.id });
    }),
  );

  router.post(
    '/passkeys',
    endpoint(
      body(
        { ...credentialFields, response: registrationResponse },
        { ...credentialOptions, name: Joi.string().max(100) },
      ),
      bySession,
      recent,
      answers(201, passkeyResource, 'token_used', 'conflict', 'session_revoked'),
      async function add(ctx) {
        const { name, ...credential } = ctx.request.body;
        const { user, session } = ctx.state;
        const who = { userId: user.id, sessionId: session.id };
        const passkey = await addPasskey({ ...asked(ctx, shared), ...who, credential, name });
        ctx.status = 201;
        ctx.set('Location', `${ctx.path}/${passkey.id}`);
        ctx.body = passkey;
      },
    ),
  );

  router.get(
    '/passkeys',
    endpoint(
      query({ limit: Joi.number().integer().min(1).max(100).default(25) }, { cursor: passkeyId }),
      bySession,
      answers(200, listOf(passkeyResource)),
      async function list(ctx) {
        const { id: userId } = ctx.state.user;
        ctx.body = await listPasskeys({ connection: connectionOf(ctx), userId, ...ctx.state.query });
      },
    ),
  );

  router.delete(
    '/passkeys/:id',
    endpoint(
      query({}),
      bySession,
      recent,
      answers(204, null, 'not_found', 'last_credential', 'session_revoked'),
      async function remove(ctx) {
        const { user, session } = ctx.state;
        const passkey = { userId: user.id, sessionId: session.id, passkeyId: ctx.params.id as string };
        await removePasskey({ ...asked(ctx, shared), ...passkey });
        done(ctx);
      },
    ),
  );
}
