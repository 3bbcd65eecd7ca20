import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose';
import type { OAuthProvider, Providers } from '../../runtime/providers.js';
import { ask, jsonAt, patience, record } from './ask.js';

/** What it takes to speak with a provider. */
export interface Provider {
  readonly name: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string;
  /** Where it sends the browser back to: of our public URL, whatever host a request names. */
  readonly redirectUri: string;
  /** What its subjects belong to. */
  readonly issuer: string;
  readonly authorizeUrl: string;
  readonly tokenUrl: string;
  readonly profileUrl?: string | undefined;
  readonly emailsUrl?: string | undefined;
  /** How a client may prove itself at `tokenUrl`; the first that is not refused. */
  readonly authMethods: readonly string[];
  /** Whether it names itself in every answer (RFC 9207), so that one without a name is not its own. */
  readonly namesItself?: boolean | undefined;
  /** Whether a sign-in of which it does not say when the person proved who they are is taken for one just now. */
  readonly countsAsRecent?: boolean | undefined;
  /** The keys of its id_tokens; without them the profile tells who somebody is. */
  readonly keys?: JWTVerifyGetKey | undefined;
}

const authMethods = ['client_secret_post', 'client_secret_basic'];

const google = {
  authorizeUrl: 'https://accounts.google.com/o/oauth2/v2/auth',
  tokenUrl: 'https://oauth2.googleapis.com/token',
  profileUrl: 'https://openidconnect.googleapis.com/v1/userinfo',
};
const github = {
  authorizeUrl: 'https://github.com/login/oauth/authorize',
  tokenUrl: 'https://github.com/login/oauth/access_token',
  profileUrl: 'https://api.github.com/user',
  emailsUrl: 'https://api.github.com/user/emails',
  scope: 'read:user user:email',
};

/** What is known of a provider by its name. Google is asked for its keys unless somebody stands in for it. */
function known(name: string, { issuer, tokenUrl }: OAuthProvider): Partial<OAuthProvider> {
  if (name === 'github') return github;
  if (name !== 'google') return {};
  return issuer || tokenUrl ? google : { ...google, issuer: 'https://accounts.google.com' };
}

/** Milliseconds that a discovery document is remembered. */
const remembered = 3_600_000;

/**
 * The providers that browsers are sent to, by name; each is found out about when it is first asked for, and again every hour.
 * What they throw is `identity_provider_unavailable`.
 */
export function providersOf(
  providers: Providers,
  publicUrl: string,
): ReadonlyMap<string, () => Promise<Provider>> {
  const entries = Object.entries(providers).flatMap(([name, given]) => {
    if (!given || 'botToken' in given) return [];
    const redirectUri = `${publicUrl.replace(/\/$/, '')}/auth/oauth/${name}/callback`;
    const said = { ...known(name, given), ...given };
    const complete = { ...said, name, redirectUri, scope: said.scope ?? 'openid email profile' };
    return [[name, loader(() => ask(() => found(complete)))] as const];
  });
  return new Map(entries);
}

/** Of these there is one at an origin; of others several, such as the realms of one server. */
const origins = ['google', 'github'];

type Said = OAuthProvider & Pick<Provider, 'name' | 'redirectUri' | 'scope'>;

async function found(said: Said): Promise<Provider> {
  if (said.issuer) return discovered(said, said.issuer);
  const urls = said as Said & Pick<Provider, 'authorizeUrl' | 'tokenUrl'>; // the options' schema has seen to it
  const { href, origin } = new URL(urls.tokenUrl);
  return { ...urls, issuer: origins.includes(said.name) ? origin : href, authMethods };
}

/** OpenID Connect Discovery 1.0: the document must be the issuer's own. */
async function discovered(said: Said, issuer: string): Promise<Provider> {
  const document = record(await jsonAt(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`));
  if (document.issuer !== issuer) throw new Error(`The discovery document of ${issuer} is another issuer's`);
  const supported = document.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const usable = authMethods.filter((method) => Array.isArray(supported) && supported.includes(method));
  return {
    ...said,
    issuer,
    authorizeUrl: said.authorizeUrl ?? endpoint(document.authorization_endpoint),
    tokenUrl: said.tokenUrl ?? endpoint(document.token_endpoint),
    profileUrl:
      said.profileUrl ?? (document.userinfo_endpoint ? endpoint(document.userinfo_endpoint) : undefined),
    authMethods: usable.length > 0 ? usable : authMethods,
    namesItself: document.authorization_response_iss_parameter_supported === true,
    keys: createRemoteJWKSet(new URL(endpoint(document.jwks_uri)), { timeoutDuration: patience }),
  };
}

function endpoint(value: unknown): string {
  const { protocol, href } = new URL(String(value));
  if (protocol !== 'https:' && protocol !== 'http:') throw new Error('An endpoint is at no HTTP address');
  return href;
}

/** Loads once for all who ask meanwhile; a failure is forgotten at once. */
function loader<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: { readonly value: Promise<T>; readonly until: number } | undefined;
  return function loadOnce() {
    if (loaded && loaded.until > performance.now()) return loaded.value;
    const value = load();
    const mine = { value, until: performance.now() + remembered };
    loaded = mine;
    value.catch(() => {
      if (loaded === mine) loaded = undefined;
    });
    return value;
  };
}
