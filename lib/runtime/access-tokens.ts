import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import type { Key, SigningAlgorithm } from './keyring.js';

/** What an access token says. Everything else about its user is looked up, so that it cannot be out of date. */
export interface AccessClaims {
  /** The user's id. */
  readonly sub: string;
  /** The session's id. */
  readonly sid: string;
  /** Seconds since 1970. */
  readonly exp: number;
}

export interface AccessTokenOptions {
  readonly keyring: readonly Key[];
  readonly algorithm: SigningAlgorithm;
  readonly issuer: string;
  readonly audience: string;
  /** Seconds. */
  readonly accessTtl: number;
}

/** The claims of a genuine token that has not expired, else null, whatever is wrong with it. */
export type AccessTokenVerifier = (token: string) => AccessClaims | null;

const type = 'at+jwt'; // RFC 9068: no other JWT signed with the same key passes for an access token
const longest = 4_096;

/** Whether `token` calls itself an access token of this kind, genuine or not. */
export function isAccessToken(token: string): boolean {
  try {
    return jwt.decode(token, { complete: true })?.header.typ === type;
  } catch {
    return false;
  }
}

/** Signs an access token (RFC 7519) with the first key. */
export function signAccessToken(options: AccessTokenOptions, claims: { sub: string; sid: string }): string {
  const { keyring, algorithm, issuer, audience, accessTtl: expiresIn } = options;
  const [signer] = keyring;
  if (!signer?.signs)
    throw new TypeError('The first of keys must be a private or secret key: it signs the tokens');
  const header = { alg: algorithm, typ: type, kid: signer.kid };
  return jwt.sign(claims, signer.signs, { algorithm, issuer, audience, expiresIn, header });
}

/**
 * Verifies access tokens (RFC 8725): one algorithm, our issuer and audience, an expiry, and a `kid` that names one of our
 * keys. Up to 10,000 verified tokens are remembered until they expire.
 */
export function accessTokenVerifier(options: AccessTokenOptions): AccessTokenVerifier {
  const { keyring, algorithm, issuer, audience } = options;
  const name = JSON.stringify([algorithm, issuer, audience]);
  const made = verifiers.get(keyring) ?? new Map<string, AccessTokenVerifier>();
  verifiers.set(keyring, made);
  const verifier = made.get(name) ?? makeVerifier(options);
  made.set(name, verifier);
  return verifier;
}

/** One for all guards that were given the same options: what one has verified the others know. */
const verifiers = new WeakMap<readonly Key[], Map<string, AccessTokenVerifier>>();

function makeVerifier({ keyring, algorithm, issuer, audience }: AccessTokenOptions): AccessTokenVerifier {
  const byKid = new Map(keyring.map((key) => [key.kid, key.verifies]));
  const verified = new LRUCache<string, AccessClaims>({ max: 10_000 });

  function check(token: string): AccessClaims | null {
    try {
      const header = jwt.decode(token, { complete: true })?.header;
      const key = header?.typ === type && header.kid ? byKid.get(header.kid) : undefined;
      if (!key) return null;
      const claims = jwt.verify(token, key, { algorithms: [algorithm], issuer, audience });
      return isAccessClaims(claims) ? { sub: claims.sub, sid: claims.sid, exp: claims.exp } : null;
    } catch {
      return null; // malformed, forged, expired, not yet valid: all the same to the bearer
    }
  }

  return function verify(token) {
    const known = verified.get(token);
    if (known) return known.exp * 1000 > Date.now() ? known : null;
    if (token.length > longest) return null;
    const claims = check(token);
    if (claims) verified.set(token, claims);
    return claims;
  };
}

function isAccessClaims(claims: jwt.JwtPayload | string): claims is jwt.JwtPayload & AccessClaims {
  if (typeof claims === 'string') return false;
  const { sub, sid, exp } = claims;
  return typeof sub === 'string' && typeof sid === 'string' && typeof exp === 'number'; // jsonwebtoken lets a missing exp pass
}
