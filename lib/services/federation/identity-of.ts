import { type JWTPayload, jwtVerify } from 'jose';
import { canonicalEmail } from '../identity/canonical-email.js';
import { jsonAt, record } from './ask.js';
import type { Secrets, Tokens } from './handshake.js';
import type { Provider } from './provider.js';

/** Who somebody is elsewhere. What names them is the issuer and the subject. */
export interface ProvidedIdentity {
  readonly provider: string;
  readonly issuer: string;
  readonly subject: string;
  /** As the provider says it, to be shown. */
  readonly email: string | null;
  readonly name: string | null;
  /** The address that a new account gets: one which is surely this person's, `verified` when mail reaches them there. */
  /** When the person last proved to the provider who they are; null: it does not say, and perhaps that was long ago; undefined: just now. */
  readonly provedAt?: Date | null | undefined;
  readonly address: { readonly email: string; readonly verified: boolean } | null;
}

type Said = Readonly<Record<string, unknown>>;

/** Finds out whom the tokens belong to: by the id_token where the provider has keys, else by the profile. */
export async function identityOf(
  provider: Provider,
  tokens: Tokens,
  secrets: Secrets,
): Promise<ProvidedIdentity> {
  if (provider.keys) return byIdToken(provider, tokens, secrets);
  const profile = record(await jsonAt(provider.profileUrl as string, tokens.accessToken));
  const emails = provider.emailsUrl ? await jsonAt(provider.emailsUrl, tokens.accessToken) : undefined;
  return identity(provider, profile.sub ?? profile.id, {
    ...profile,
    ...(provider.emailsUrl && primary(emails)),
  });
}

const signatures = [
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA',
]; // biome-ignore format: a list to scan

/** OpenID Connect Core 1.0, 3.1.3.7: signature, issuer, audience, authorized party, expiry and nonce. */
async function byIdToken(provider: Provider, tokens: Tokens, { nonce }: Secrets): Promise<ProvidedIdentity> {
  const { issuer, clientId, keys, profileUrl } = provider;
  if (!tokens.idToken || !keys) throw new Error('The provider sent no id_token');
  const rules = {
    issuer,
    audience: clientId,
    algorithms: signatures,
    requiredClaims: ['sub', 'exp', 'iat'],
    clockTolerance: 30,
  };
  const { payload } = await jwtVerify<JWTPayload>(tokens.idToken, keys, rules);
  if (payload.nonce !== nonce) throw new Error('The id_token is for another handshake');
  const severalAudiences = Array.isArray(payload.aud) && payload.aud.length > 1;
  if ((severalAudiences || payload.azp !== undefined) && payload.azp !== clientId)
    throw new Error('The id_token is for another client');
  const said = provedAt(payload.auth_time);
  const proved = said && { provedAt: said };
  if (payload.email !== undefined || !profileUrl)
    return { ...identity(provider, payload.sub, payload), ...proved };
  const profile = record(await jsonAt(profileUrl, tokens.accessToken));
  if (profile.sub !== payload.sub) throw new Error("The profile is another subject's");
  return { ...identity(provider, payload.sub, profile), ...proved };
}

/** `auth_time` of OpenID Connect Core 1.0, section 2, in seconds. */
const provedAt = (seconds: unknown): Date | null =>
  typeof seconds === 'number' && seconds > 0 && Number.isSafeInteger(seconds)
    ? new Date(seconds * 1000)
    : null;

function identity(
  { name: provider, issuer, countsAsRecent }: Provider,
  subject: unknown,
  said: Said,
): ProvidedIdentity {
  const named = typeof subject === 'number' ? String(subject) : subject;
  if (typeof named !== 'string' || named === '' || named.length > 255)
    throw new Error('The subject has no name');
  const email = typeof said.email === 'string' ? canonicalEmail(said.email) : null;
  const verified = said.email_verified === true || said.email_verified === 'true'; // some providers write it as a string
  const name = typeof said.name === 'string' && said.name ? said.name.slice(0, 200) : null;
  return {
    provider,
    issuer,
    subject: named,
    email,
    name,
    address: email && verified ? { email, verified } : null,
    provedAt: countsAsRecent ? undefined : null,
  };
}

/** Of GitHub's list of addresses the primary one. */
function primary(emails: unknown): Said {
  const found = Array.isArray(emails) ? emails.map(record).find((each) => each.primary === true) : undefined;
  return { email: found?.email, email_verified: found?.verified };
}
