import type { ApiKey } from '../../runtime/api-key.js';
import type { User } from '../../runtime/user.js';
import type { StytchSession } from '../../services/federation/stytch-session.js';
import type { Session } from '../../services/sessions/as-session.js';

/** The kinds of credential that a request may carry. */
export const credentialKinds = ['session', 'apiKey', 'stytch'] as const;
export type CredentialKind = (typeof credentialKinds)[number];

/** What `authenticate()` adds to `ctx.state`. */
export interface SignedIn {
  readonly user: User;
  /** Null where the credential is another. */
  readonly session: Session | null;
  /** Null where the credential is another. */
  readonly apiKey: ApiKey | null;
  readonly credential: CredentialKind;
  /** How the user proved who they are, such as `['password']`. */
  readonly factors: readonly string[];
  /** What an identity provider says of the user beyond that; our own sessions and API keys say nothing. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Stytch's session, where that is the credential. */
  readonly stytch?: StytchSession | undefined;
}

/** What `authenticate({ accept: ['session'] })` adds. */
export interface SignedInBySession extends SignedIn {
  readonly session: Session;
  readonly apiKey: null;
}

/** What `authenticate({ accept: ['apiKey'] })` adds. */
export interface SignedInByApiKey extends SignedIn {
  readonly session: null;
  readonly apiKey: ApiKey;
}

/** What `authenticate({ accept: ['stytch'] })` adds. */
export interface SignedInByStytch extends SignedIn {
  readonly session: null;
  readonly apiKey: null;
  readonly stytch: StytchSession;
}

/** What `authenticate({ optional: true })` adds: everything is null when nobody is signed in. */
export type MaybeSignedIn = SignedIn | { readonly [K in keyof SignedIn]: null };

export const noClaims: SignedIn['claims'] = Object.freeze({});
