import type Router from '@koa/router';
import { answers } from '../../middleware/answers.js';
import { authenticate } from '../../middleware/authenticate.js';
import { body } from '../../middleware/body.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { requireRecentSignIn } from '../../middleware/require-recent-sign-in.js';
import { connectionOf } from '../../runtime/connection.js';
import { listIdentities } from '../../services/federation/list-identities.js';
import { unlinkIdentity } from '../../services/federation/unlink-identity.js';
import { asked, done } from '../answers.js';
import { identityList, urlResource } from '../resources.js';
import { handshake } from './handshake.js';
import { begin, type OAuthShared, returnTo } from './oauth-shared.js';

/** The accounts elsewhere that a user has linked. */
export function providerRoutes(router: Router, shared: OAuthShared): void {
  const bySession = authenticate({ ...shared, accept: ['session'] });
  const recent = requireRecentSignIn();

  router.get(
    '/providers',
    endpoint(query({}), bySession, answers(200, identityList), async function list(ctx) {
      const items = await listIdentities({ userId: ctx.state.user.id, connection: connectionOf(ctx) });
      ctx.body = { items, nextCursor: null, available: Object.keys(shared.providers) };
    }),
  );

  router.post(
    '/providers/:provider',
    endpoint(
      body({}, returnTo(shared)),
      bySession,
      recent,
      handshake(shared),
      answers(200, urlResource, 'not_found', 'identity_provider_unavailable'),
      async function link(ctx) {
        const { user, session } = ctx.state;
        const linking = { userId: user.id, sessionId: session.id };
        ctx.body = { url: await begin(ctx, shared, { linking, returnTo: ctx.request.body.returnTo }) };
      },
    ),
  );

  router.delete(
    '/providers/:provider',
    endpoint(
      query({}),
      bySession,
      recent,
      answers(204, null, 'not_found', 'last_credential'),
      async function unlink(ctx) {
        const { user, session } = ctx.state;
        const provider = ctx.params.provider as string;
        await unlinkIdentity({ ...asked(ctx, shared), userId: user.id, provider, keep: session.id });
        done(ctx);
      },
    ),
  );
}
