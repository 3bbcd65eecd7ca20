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

type Outcome = VerifiedMember | StytchRefusal;

/** Verifies tokens of one project; `strict` asks Stytch whatever is remembered. */
export type StytchVerifier = (token: string, strict: boolean) => Promise<VerifiedMember>;

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

function makeVerifier(options: ReadStytchOptions): StytchVerifier {
  const ask = stytchClient(options);
  const outcomes = new LRUCache<string, Promise<Outcome>>({ max: 20_000 });

  /** Stands in the memory before it is there, so that whoever asks meanwhile shares the call. */
  function load(token: string, key: string): Promise<Outcome> {
    const asked = ask(token).then((answer) => (typeof answer === 'string' ? answer : verifiedMember(answer)));
    outcomes.set(key, asked);
    const settle = (ttl: number) => {
      if (outcomes.peek(key) !== asked) return;
      if (ttl > 0) outcomes.set(key, asked, { ttl });
      else outcomes.delete(key);
    };
    asked.then(
      (outcome) => settle(lifetime(outcome, options)),
      () => settle(0),
    );
    return asked;
  }

  return async function verify(token, strict) {
    const key = createHash('sha256').update(token).digest('base64');
    const outcome = await ((!strict && outcomes.get(key)) || load(token, key));
    if (typeof outcome === 'string') throw refuse(outcome, { headers: invalidToken });
    if (outcome.session.isExpired) throw refuse('session_revoked', { headers: invalidToken });
    return outcome;
  };
}

const invalidToken = { 'WWW-Authenticate': 'Bearer error="invalid_token"' };

/** Milliseconds that an outcome is believed. */
function lifetime(outcome: Outcome, { cacheTtl }: ReadStytchOptions): number {
  if (typeof outcome === 'string') return Math.min(cacheTtl, refusedFor) * 1000;
  return Math.min(cacheTtl * 1000, outcome.session.expiresAt.getTime() - Date.now());
}

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
