import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { Provider } from 'oidc-provider';
import type { Browser } from './http-browser.js';
import { atEnd, portOf } from './world.js';

export const client = { clientId: 'tollgate', clientSecret: 'a secret of the client' };

export interface Person {
  email?: string;
  email_verified?: boolean;
  name?: string;
}

const pair = () => generateKeyPair('RS256', { extractable: true });
const keys = { genuine: pair(), forged: pair() };

async function listen(answer: RequestListener): Promise<{ server: Server; url: string }> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(async () => {
    server.close();
    server.closeAllConnections();
  });
  return { server, url: `http://127.0.0.1:${portOf(server)}` };
}

/** An OpenID provider that demands PKCE, and knows `people` by what they enter as their login. */
export async function startOidc(
  people: Record<string, Person>,
  redirectUri: string,
  method: 'client_secret_basic' | 'client_secret_post' = 'client_secret_basic',
): Promise<string> {
  const late: { answer: RequestListener } = { answer: () => {} };
  const { url } = await listen((request, response) => late.answer(request, response));
  const jwk = { ...(await exportJWK((await keys.genuine).privateKey)), use: 'sig', alg: 'RS256' };
  const registered = {
    client_id: client.clientId,
    client_secret: client.clientSecret,
    redirect_uris: [redirectUri],
    token_endpoint_auth_method: method,
  };
  const provider = quietly(
    () =>
      new Provider(url, {
        clients: [registered],
        pkce: { required: () => true },
        jwks: { keys: [jwk] },
        claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
        cookies: { keys: ['the keys of the provider'] },
        ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
        findAccount: (_, sub) => ({ accountId: sub, claims: async () => ({ ...people[sub], sub }) }),
      }),
  );
  late.answer = provider.callback();
  return url;
}

/** It warns of what is good enough for tests. */
function quietly<T>(make: () => T): T {
  const { warn, info } = console;
  console.warn = () => {};
  console.info = () => {};
  try {
    return make();
  } finally {
    Object.assign(console, { warn, info });
  }
}

/** Opens `url` at that provider, signs in as `login`, agrees to everything, and gives the URL that leads back to `end`. */
export async function agree(browser: Browser, url: string, login: string, end: string): Promise<string> {
  let at = url;
  let form: string | undefined;
  for (let steps = 0; !at.startsWith(end); steps += 1) {
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await browser.open(at, form ? { method: 'POST', body: form, headers: type } : {});
    const location = answer.headers.get('location');
    const html = await answer.text();
    const prompt = /name="prompt" value="(\w+)"/.exec(html)?.[1];
    if ((!location && !prompt) || steps > 12) throw new Error(`${at} answered ${answer.status}: ${html}`);
    if (location) at = new URL(location, at).href;
    form = location
      ? undefined
      : new URLSearchParams({ prompt: prompt as string, login, password: 'any' }).toString();
  }
  return at;
}

/** What a provider that is not to be trusted answers; each part may be wrong. */
export interface Answers {
  /** The id_token; null: none. */
  idToken?: ((genuine: JWTPayload) => Promise<string>) | null;
  /** Beside the id_token, or in its stead. */
  token?: { status: number; body: object };
  profile?: object;
  /** Members of the discovery document, beside or in place of its own. */
  discovery?: object;
  emails?: object;
}

export interface StandIn {
  readonly url: string;
  /** What the token endpoint has been sent. */
  readonly sent: URLSearchParams[];
  answers: Answers;
}

/** Signs an id_token with the provider's key, or with another's under the same name. */
export const signed = (claims: JWTPayload, by: 'genuine' | 'forged' = 'genuine'): Promise<string> =>
  keys[by].then(({ privateKey }) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'one' }).sign(privateKey),
  );

/** A provider that signs everybody in, and answers whatever `answers` says: for what a real one never does. */
export async function startStandIn(answers: Answers = {}): Promise<StandIn> {
  const nonces = new Map<string, string>();
  const sent: URLSearchParams[] = [];
  const { url } = await listen(async (request, response) => {
    const at = new URL(request.url ?? '/', url);
    const json = (body: unknown, status = 200) =>
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    const routes: Record<string, () => unknown> = {
      '/.well-known/openid-configuration': () =>
        json({
          issuer: url,
          authorization_endpoint: `${url}/authorize`,
          token_endpoint: `${url}/token`,
          userinfo_endpoint: `${url}/profile`,
          jwks_uri: `${url}/keys`,
          token_endpoint_auth_methods_supported: ['client_secret_post'],
          ...standIn.answers.discovery,
        }),
      '/keys': async () =>
        json({ keys: [{ ...(await exportJWK((await keys.genuine).publicKey)), kid: 'one' }] }),
      '/authorize': () => {
        const code = String(nonces.size);
        nonces.set(code, at.searchParams.get('nonce') ?? '');
        const back = new URL(at.searchParams.get('redirect_uri') ?? url);
        back.search = String(new URLSearchParams({ code, state: at.searchParams.get('state') ?? '' }));
        response.writeHead(302, { Location: back.href }).end();
      },
      '/token': async () => {
        const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
        sent.push(form);
        const { token, idToken = signed } = standIn.answers;
        if (token) return json(token.body, token.status);
        const now = Math.floor(Date.now() / 1000);
        const nonce = nonces.get(form.get('code') ?? '');
        const times = { iat: now, exp: now + 60 };
        const claims = { iss: url, aud: client.clientId, sub: 'grace', nonce, ...times, ...verifiedEmail };
        const id_token = idToken && (await idToken(claims));
        return json({ access_token: 'an access token', token_type: 'Bearer', ...(id_token && { id_token }) });
      },
      '/profile': () => json(standIn.answers.profile ?? {}),
      '/emails': () => json(standIn.answers.emails ?? []),
    };
    await (routes[at.pathname] ?? (() => json({}, 404)))();
  });
  const standIn: StandIn = { url, sent, answers };
  return standIn;
}

const verifiedEmail = { email: 'grace@example.com', email_verified: true };
