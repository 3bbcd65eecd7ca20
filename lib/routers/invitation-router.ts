import Router from '@koa/router';
import Joi from 'joi';
import { answers } from '../middleware/answers.js';
import { authenticate } from '../middleware/authenticate.js';
import { body } from '../middleware/body.js';
import { endpoint } from '../middleware/endpoint.js';
import { rateLimit } from '../middleware/rate-limit.js';
import { requireVerifiedEmail } from '../middleware/require-verified-email.js';
import { readOptions, type SharedOptions, verifyingKeys } from '../runtime/options.js';
import { acceptInvitation } from '../services/tenancy/invitations/accept-invitation.js';
import { declineInvitation } from '../services/tenancy/invitations/decline-invitation.js';
import { asked, created, done } from './answers.js';
import { newMemberResource } from './organization/resources.js';

/**
 * What an invited person answers an invitation with, under `/invitations`: `POST /accept` and `POST /decline`, by a session of the user who has proved to
 * own the invited address.
 *
 * @example app.use(invitationRouter({ keys }).routes());
 */
export function invitationRouter(options: SharedOptions): Router {
  const shared = readOptions('invitationRouter', options, verifyingKeys());
  const router = new Router({ prefix: '/invitations' });
  const bySession = authenticate({ ...shared, accept: ['session'] });
  const fields = { token: Joi.string().max(200) };
  const limit = rateLimit({ ...shared, points: 60, per: 'minute', by: 'user', name: 'invitation answers' });

  router.post(
    '/accept',
    answers(
      201,
      newMemberResource,
      'token_used',
      'already_member',
      'seats_exhausted',
      'conflict',
      'not_found',
      'overloaded',
    ),
    endpoint(bySession, requireVerifiedEmail(), limit, body(fields), async function accept(ctx) {
      const { id: userId } = ctx.state.user;
      const member = await acceptInvitation({ ...asked(ctx, shared), ...ctx.request.body, userId });
      created(ctx, member, `/organizations/${member.organizationId}/members/${userId}`);
    }),
  );

  router.post(
    '/decline',
    answers(204, null, 'token_used', 'overloaded'),
    endpoint(bySession, requireVerifiedEmail(), limit, body(fields), async function decline(ctx) {
      const { id: userId } = ctx.state.user;
      await declineInvitation({ ...asked(ctx, shared), ...ctx.request.body, userId });
      done(ctx);
    }),
  );

  return router;
}
