import g from 'grant';
import { patience, record } from './ask.js';
import type { Provider } from './provider.js';

/** What must be kept between the two halves of a handshake, in the browser that began it: state, nonce, PKCE verifier. */
export interface Secrets {
  readonly state: string;
  readonly nonce: string;
  readonly code_verifier: string;
}

export interface Tokens {
  readonly accessToken: string;
  readonly idToken: string | undefined;
}

/** A provider that has keys says when the person last proved who they are (`auth_time`) if it is told how long ago that may be, in seconds. */
const anyTime = '31536000';

/**
 * Begins an authorization code flow (RFC 6749, PKCE by RFC 7636): the URL to send the browser to. With `anew` the provider is to let the
 * person prove who they are now, whatever it remembers (OpenID Connect Core 1.0, 3.1.2.1).
 */
export async function beginHandshake(
  provider: Provider,
  { anew = false }: { readonly anew?: boolean | undefined } = {},
): Promise<{ url: string; secrets: Secrets }> {
  const asked = anew ? { max_age: '0', prompt: 'login' } : { max_age: anyTime };
  const more = provider.keys ? asked : {};
  const { location, session } = await viaGrant({ ...provider, more }, '/connect/provider', {}, undefined);
  const { state, nonce, code_verifier } = session as unknown as Secrets;
  if (!location || !state || !nonce || !code_verifier) throw new Error('grant began no handshake');
  return { url: location, secrets: { state, nonce, code_verifier } };
}

/** Exchanges the code that the browser came back with for tokens; the caller has compared the state. */
export async function endHandshake(provider: Provider, secrets: Secrets, code: string): Promise<Tokens> {
  const query = { code, state: secrets.state };
  for (const method of provider.authMethods) {
    const began = { provider: 'provider', ...secrets };
    const { session } = await viaGrant(provider, '/connect/provider/callback', query, began, method);
    const { error, access_token, id_token } = record(session.response);
    if (isInvalidClient(error) && method !== provider.authMethods.at(-1)) continue; // registered for the other way
    if (error || typeof access_token !== 'string') throw new Error(`No tokens: ${JSON.stringify(error)}`);
    return { accessToken: access_token, idToken: typeof id_token === 'string' ? id_token : undefined };
  }
  throw new Error('The provider knows no way for a client to prove itself');
}

const isInvalidClient = (error: unknown): boolean =>
  error === 'invalid_client' || record(error).error === 'invalid_client';

/**
 * Runs grant's middleware on nothing but what it is to see: no parameter of a request can override its configuration. Its
 * neutral name keeps grant from applying the quirks that it knows of providers by name.
 */
async function viaGrant(
  provider: Provider & { readonly more?: Readonly<Record<string, string>> },
  originalUrl: string,
  query: Readonly<Record<string, string>>,
  began: object | undefined,
  method = 'client_secret_post',
): Promise<{ location: string | undefined; session: Readonly<Record<string, unknown>> }> {
  const { authorizeUrl, tokenUrl, clientId, clientSecret, scope, redirectUri, more = {} } = provider;
  const handler = g.default.koa({
    config: {
      provider: {
        oauth: 2,
        authorize_url: authorizeUrl,
        access_url: tokenUrl,
        key: clientId,
        secret: clientSecret,
        scope,
        custom_params: more,
        redirect_uri: redirectUri,
        token_endpoint_auth_method: method,
        state: true,
        nonce: true,
        pkce: true,
        dynamic: false,
        transport: 'session',
        response: ['tokens', 'jwt'],
      },
    },
    request: { timeout: patience },
  });
  const answer: { location?: string } = {};
  const ctx = {
    method: 'GET',
    originalUrl,
    request: { query },
    state: {},
    session: { grant: began },
    response: {
      redirect(url: string) {
        answer.location = url;
      },
    },
  };
  await handler(ctx, async () => {});
  return { location: answer.location, session: record(ctx.session.grant) };
}
