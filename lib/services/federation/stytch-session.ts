import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { refuse } from '../../errors.js';
import type { ReadStytchOptions } from '../../runtime/stytch-options.js';
import { ticking } from '../sessions/as-session.js';
import type { StytchAnswer } from './stytch-answer.js';
import { type StytchRefusal, stytchClient } from './stytch-client.js';

/** A session of Stytch's as `ctx.state.stytch` holds it. Frozen: several requests share it. */
export interface StytchSession {
  readonly memberId: string;
  readonly organizationId: string;
  readonly sessionId: string;
  readonly startedAt: Date;
  readonly lastAccessedAt: Date;
  readonly expiresAt: Date;
  readonly isExpired: boolean;
  readonly secondsLeft: number;
  /** How the member proved who they are, in Stytch's words, such as `['password', 'otp']`. */
  readonly factors: readonly string[];
  /** The roles that Stytch's own access control gives the member. */
  readonly roles: readonly string[];
  /** The session's custom claims. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Stytch's own session object, as it came. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** A genuine session, and what Stytch says of its member. */
export interface VerifiedMember {
  readonly session: StytchSession;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly name: string | null;
}

/** How a token is to be verified. */
export interface StytchAsking {
  /** True asks Stytch about a session whatever is remembered of it. */
  readonly strict: boolean;
  /** Runs the question about a token that was never found genuine: such may be guesses, and cost a call each. */
  readonly admit: (ask: () => Promise<VerifiedMember>) => Promise<VerifiedMember>;
}

/** Verifies tokens of one project. */
export type StytchVerifier = (token: string, asking: StytchAsking) => Promise<VerifiedMember>;

/** Seconds that a refused token is refused again without asking: what has ended does not come back. */
const refusedFor = 60;

const verifiers = new Map<string, StytchVerifier>();

/**
 * The verifier of a project, one for all the guards of a process: they share its memory and its circuit breaker.
 *
 * It throws `session_revoked` or `token_invalid` (401), `identity_provider_unavailable` (503).
 *
 * @throws {TypeError} when the package stytch is not installed
 */
export function stytchVerifier(options: ReadStytchOptions): StytchVerifier {
  const { projectId, secret, env, timeout, retries, cacheTtl } = options;
  const key = JSON.stringify([projectId, secret, env, timeout, retries, cacheTtl]);
  const verifier = verifiers.get(key) ?? makeVerifier(options);
  verifiers.set(key, verifier);
  return verifier;
}

/** A token that was found genuine. */
interface Known {
  readonly member: VerifiedMember;
  /** By `performance.now()`. */
  readonly believedUntil: number;
}

/** What is refused has a memory of its own, so that strangers push nobody out of the other. A failed call changes neither. */
function makeVerifier({ cacheTtl, ...options }: ReadStytchOptions): StytchVerifier {
  const ask = stytchClient({ cacheTtl, ...options });
  const known = new LRUCache<string, Known>({ max: 20_000 });
  const refused = new LRUCache<string, StytchRefusal>({ max: 2_000 });
  const pending = new Map<string, Promise<VerifiedMember>>();

  async function load(token: string, key: string): Promise<VerifiedMember> {
    const answer = await ask(token);
    if (typeof answer === 'string') {
      known.delete(key);
      if (cacheTtl > 0) refused.set(key, answer, { ttl: Math.min(cacheTtl, refusedFor) * 1000 });
      throw refusal(answer);
    }
    const member = verifiedMember(answer);
    if (member.session.isExpired) throw refusal('session_revoked');
    const ttl = member.session.expiresAt.getTime() - Date.now();
    const believedUntil = performance.now() + cacheTtl * 1000;
    if (ttl > 0) known.set(key, { member, believedUntil }, { ttl });
    return member;
  }

  /** Is there before it is answered, so that whoever asks meanwhile shares the call. */
  function begin(key: string, asked: Promise<VerifiedMember>): Promise<VerifiedMember> {
    const ended = () => void pending.delete(key);
    pending.set(key, asked);
    asked.then(ended, ended);
    return asked;
  }

  return async function verify(token, { strict, admit }) {
    const key = createHash('sha256').update(token).digest('base64');
    const remembered = refused.get(key);
    if (remembered) throw refusal(remembered);
    const found = known.get(key);
    if (!strict && found && found.believedUntil > performance.now() && !found.member.session.isExpired)
      return found.member;
    const question = () => load(token, key);
    return pending.get(key) ?? begin(key, found ? question() : admit(question));
  };
}

const refusal = (code: StytchRefusal) =>
  refuse(code, { headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } });

function verifiedMember({ member, member_session: session, raw }: StytchAnswer): VerifiedMember {
  const facts = {
    memberId: session.member_id,
    organizationId: session.organization_id,
    sessionId: session.member_session_id,
    startedAt: session.started_at,
    lastAccessedAt: session.last_accessed_at,
    expiresAt: session.expires_at,
    factors: [...new Set(session.authentication_factors.map(({ type }) => type))],
    roles: session.roles,
    claims: session.custom_claims,
    raw,
  };
  for (const value of [facts.factors, facts.roles, facts.claims, raw]) freezeDeep(value);
  return Object.freeze({
    session: Object.freeze(Object.assign(Object.create(ticking), facts)) as StytchSession,
    email: member.email_address,
    emailVerified: member.email_address_verified === true,
    name: member.name || null,
  });
}

/** Of what came as JSON. */
function freezeDeep(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.freeze(value);
  for (const part of Object.values(value)) freezeDeep(part);
}
