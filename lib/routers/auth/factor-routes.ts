import type Router from '@koa/router';
import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import { answers } from '../../middleware/answers.js';
import { authenticate, type SignedInBySession } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requireRecentSignIn } from '../../middleware/require-recent-sign-in.js';
import { invalid } from '../../middleware/validation.js';
import { connectionOf } from '../../runtime/connection.js';
import { readCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { confirmTotp } from '../../services/factors/confirm-totp.js';
import { enrolTotp } from '../../services/factors/enrol-totp.js';
import { removeTotp } from '../../services/factors/remove-totp.js';
import { verifySecondFactor } from '../../services/factors/verify-second-factor.js';
import { reauthenticate } from '../../services/identity/reauthenticate.js';
import { asked, done } from '../answers.js';
import { recoveryCodesResource, signedInResource, totpResource } from '../resources.js';
import { answerSignedIn, delivery } from './answer-signed-in.js';

const code = Joi.string().max(100);

/** The second step of a sign-in, and proving again who one is. */
export function factorRoutes(router: Router, shared: ReadSharedOptions): void {
  const bySession = authenticate({ ...shared, accept: ['session'] });

  router.post(
    '/second-factor',
    body({ challenge: Joi.string().max(200), code }, delivery),
    answers(200, signedInResource(shared), 'token_used', 'credentials_invalid', 'rate_limited'),
    async function secondFactor(ctx) {
      const { challenge, code, tokenDelivery } = ctx.request.body;
      const device = readCookie(ctx, 'device', shared.cookies);
      const answer = { challenge, code, device, delivery: tokenDelivery };
      const signedIn = await verifySecondFactor({ ...asked(ctx, shared), ...answer });
      answerSignedIn(ctx, signedIn, signedIn.delivery, shared);
    },
  );

  router.post(
    '/reauthenticate',
    endpoint(
      body({}, { password: Joi.string().max(256), code }),
      bySession,
      answers(204, null, 'credentials_invalid', 'session_revoked', 'rate_limited', 'overloaded'),
      async function proveAgain(ctx) {
        const { password, code } = ctx.request.body;
        if ((password === undefined) === (code === undefined))
          throw invalid([{ path: '', message: 'must have either password or code' }]);
        await reauthenticate({ ...askerOf(ctx, shared), password, code });
        done(ctx);
      },
    ),
  );
}

/** TOTP and its recovery codes. */
export function totpRoutes(router: Router, shared: ReadSharedOptions): void {
  const bySession = authenticate({ ...shared, accept: ['session'] });
  const recent = requireRecentSignIn();

  router.post(
    '/totp',
    endpoint(body({}), bySession, recent, answers(201, totpResource, 'conflict'), async function enrol(ctx) {
      const enrolment = await enrolTotp({
        ...shared,
        connection: connectionOf(ctx),
        userId: ctx.state.user.id,
      });
      ctx.set({ 'Cache-Control': 'no-store', Location: ctx.path });
      ctx.status = 201;
      ctx.body = enrolment;
    }),
  );

  router.post(
    '/totp/confirm',
    endpoint(
      body({ code }),
      bySession,
      recent,
      answers(
        200,
        recoveryCodesResource,
        'credentials_invalid',
        'conflict',
        'session_revoked',
        'rate_limited',
      ),
      async function confirm(ctx) {
        const recoveryCodes = await confirmTotp({ ...askerOf(ctx, shared), code: ctx.request.body.code });
        ctx.set('Cache-Control', 'no-store');
        ctx.body = { recoveryCodes };
      },
    ),
  );

  router.delete(
    '/totp',
    endpoint(
      query({}),
      bySession,
      recent,
      answers(204, null, 'not_found', 'session_revoked'),
      async function remove(ctx) {
        await removeTotp(askerOf(ctx, shared));
        done(ctx);
      },
    ),
  );
}

/** Who asks, in which session, and from where. */
const askerOf = (ctx: ParameterizedContext<SignedInBySession>, shared: ReadSharedOptions) => ({
  ...asked(ctx, shared),
  userId: ctx.state.user.id,
  sessionId: ctx.state.session.id,
  device: readCookie(ctx, 'device', shared.cookies),
});
