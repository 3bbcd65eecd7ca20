import type Router from '@koa/router';
import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import { type ErrorCode, isTollgateError, refuse } from '../../errors.js';
import { answers } from '../../middleware/answers.js';
import { endpoint } from '../../middleware/endpoint.js';
import { query } from '../../middleware/query.js';
import { accessTokenVerifier } from '../../runtime/access-tokens.js';
import { readCookie } from '../../runtime/cookies.js';
import { finishHandshake } from '../../services/federation/finish-handshake.js';
import type { ProvidedIdentity } from '../../services/federation/identity-of.js';
import { linkIdentity } from '../../services/federation/link-identity.js';
import { withParameters } from '../../services/federation/return-to.js';
import { signInByIdentity } from '../../services/federation/sign-in-by-identity.js';
import { asked } from '../answers.js';
import { setSessionCookies } from './answer-signed-in.js';
import { type Handshake, handshake, type InHandshake } from './handshake.js';
import { begin, type OAuthShared, providerOf, returnTo } from './oauth-shared.js';

/** What the page that the browser returns to is told of a refusal, as `?error=`. */
const failures: Partial<Record<ErrorCode, string>> = {
  token_used: 'state_invalid',
  session_revoked: 'state_invalid',
  credentials_invalid: 'access_denied',
  email_taken: 'account_exists',
  conflict: 'account_exists',
  email_unverified: 'email_unverified',
  identity_provider_unavailable: 'provider_failed',
  second_factor_required: 'second_factor_required',
};

/** Sign-in at a provider: to it, and back. */
export function oauthRoutes(router: Router, shared: OAuthShared): void {
  const kept = handshake(shared);
  const verify = accessTokenVerifier(shared);

  router.get(
    '/oauth/:provider',
    endpoint(
      query({}, { ...returnTo(shared), prompt: Joi.valid('login') as Joi.AnySchema<'login'> }),
      kept,
      answers(302, null, 'not_found'),
      async function start(ctx) {
        const { returnTo: back, prompt } = ctx.state.query;
        const anew = prompt === 'login';
        await redirecting(ctx, back, () => begin(ctx, shared, { returnTo: back, anew }));
      },
    ),
  );

  router.get(
    '/oauth/:provider/callback',
    endpoint(kept, answers(302, null, 'not_found'), async function callback(ctx) {
      const begun = begunHere(ctx);
      if (begun) ctx.state.handshake.session = null;
      const back = begun?.returnTo;
      await redirecting(ctx, back, async () => {
        const identity = await arrive(ctx, begun);
        if (begun?.linking) await link(ctx, begun.linking, identity);
        else await signIn(ctx, identity);
        return back ?? shared.afterAuthUrl;
      });
    }),
  );

  /** Redirects to where `work` says, or back with what went wrong; what is not for the browser's user is thrown. */
  async function redirecting(
    ctx: ParameterizedContext,
    back = shared.afterAuthUrl,
    work: () => Promise<string>,
  ): Promise<void> {
    ctx.set('Cache-Control', 'no-store');
    try {
      ctx.redirect(await work());
    } catch (thrown) {
      const error = isTollgateError(thrown) ? failures[thrown.code] : undefined;
      if (!error || !isTollgateError(thrown)) throw thrown;
      if (error === 'provider_failed') ctx.app.emit('error', thrown, ctx); // the page is not told why
      const { challenge } = thrown.extras;
      const secret = typeof challenge === 'string' ? { challenge } : undefined; // no Referer and no access log has it
      ctx.redirect(withParameters(back, { error }, secret));
    }
  }

  /** The handshake that this very browser began with this provider, and that the provider answers with the same state. */
  function begunHere(ctx: ParameterizedContext<InHandshake>): Handshake | null {
    const begun = ctx.state.handshake.session as Partial<Handshake>;
    const { state } = ctx.query;
    const same = begun.provider === ctx.params.provider && begun.secrets?.state === state;
    return begun.secrets && same ? (begun as Handshake) : null;
  }

  async function arrive(ctx: ParameterizedContext, begun: Handshake | null): Promise<ProvidedIdentity> {
    const { code, error, iss } = ctx.query;
    const provider = await providerOf(ctx, shared);
    if (!begun) throw refuse('token_used');
    if (error === 'access_denied') throw refuse('credentials_invalid');
    const another = iss === undefined ? provider.namesItself : provider.keys && iss !== provider.issuer; // RFC 9207
    if (typeof code !== 'string' || another) {
      const said = JSON.stringify(String(error).slice(0, 100)); // by anybody, and it will be logged
      throw refuse('identity_provider_unavailable', { cause: `no code from ${provider.name}: ${said}` });
    }
    return finishHandshake({ ...asked(ctx, shared), provider, secrets: begun.secrets, code });
  }

  async function signIn(ctx: ParameterizedContext, identity: ProvidedIdentity): Promise<void> {
    setSessionCookies(ctx, await signInByIdentity({ ...asked(ctx, shared), identity }), shared);
  }

  /** The session that asked must still be the browser's own; its access token may have expired meanwhile. */
  async function link(
    ctx: ParameterizedContext,
    linking: NonNullable<Handshake['linking']>,
    identity: ProvidedIdentity,
  ): Promise<void> {
    const here = verify(readCookie(ctx, 'access_token', shared.cookies) ?? '')?.sid;
    if (here !== undefined && here !== linking.sessionId) throw refuse('session_revoked');
    await linkIdentity({ ...asked(ctx, shared), ...linking, identity });
  }
}
