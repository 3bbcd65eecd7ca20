import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import CircuitBreaker from 'opossum';
import { refuse, type TollgateError } from '../../errors.js';
import type { ReadStytchOptions } from '../../runtime/stytch-options.js';
import { readAnswer, type StytchAnswer } from './stytch-answer.js';

/** Why there is none: Stytch does not know the session any more, or never made such a token. */
export type StytchRefusal = 'session_revoked' | 'token_invalid';

/** Asks Stytch about a token; throws `identity_provider_unavailable` (503). */
export type StytchClient = (token: string) => Promise<StytchAnswer | StytchRefusal>;

/** Seconds until a caller may try again whom Stytch has answered with 429; its SDK does not tell how long it wants. */
const tooManyFor = 10;

interface Sessions {
  authenticate(request: { session_token: string } | { session_jwt: string }): Promise<unknown>;
}

/** What the SDK throws: a `StytchError` has a status, a `RequestError` has none, and holds the token in its `request`. */
interface SdkError {
  readonly status_code?: number;
  readonly error_type?: string;
  readonly request_id?: string;
}

/**
 * A client of the Stytch project, for as long as the process lives.
 *
 * A call is given up after `timeout` seconds, repeated while Stytch does not answer or answers with 5xx, and not even begun
 * for `timeout` seconds when of those within three times as long, five at least, more than half have failed. Neither an answer that
 * cannot be read nor 429 counts as failed: one odd member, or strangers who ask much, must not shut out all others.
 *
 * @throws {TypeError} when the package stytch is not installed
 */
export function stytchClient(options: ReadStytchOptions): StytchClient {
  const sessions = sessionsOf(options);
  const timeout = options.timeout * 1000;
  const breaker = new CircuitBreaker((token: string) => ask(sessions, token, options), {
    timeout,
    resetTimeout: timeout,
    rollingCountTimeout: 3 * timeout, // a call that times out still counts as one that was made
    volumeThreshold: 5,
    errorFilter: isNoFailure,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  });
  return async (token) => {
    try {
      return await breaker.fire(token);
    } catch (error) {
      throw unavailable(error as SdkError & { code?: string }, options);
    }
  };
}

/** The SDK is CommonJS, so it can be loaded at once, and a missing one is reported where the option is given. */
function sessionsOf({ projectId: project_id, secret, env }: ReadStytchOptions): Sessions {
  const { B2BClient, envs } = sdk();
  if (env === 'test' || env === 'live') return new B2BClient({ project_id, secret, env: envs[env] }).sessions;
  const base = env.endsWith('/') ? env : `${env}/`;
  const where = base.startsWith('https:') ? { custom_base_url: base } : { env: base }; // it takes plain HTTP here only
  return new B2BClient({ project_id, secret, ...where }).sessions;
}

function sdk(): typeof import('stytch') {
  try {
    return createRequire(import.meta.url)('stytch');
  } catch (cause) {
    throw new TypeError('The option stytch needs the package stytch: run npm install stytch', { cause });
  }
}

/** A JWT has three parts; Stytch's opaque tokens have no dots. */
const requestFor = (token: string) =>
  token.split('.').length === 3 ? { session_jwt: token } : { session_token: token };

async function ask(
  sessions: Sessions,
  token: string,
  { retries, timeout }: ReadStytchOptions,
): Promise<StytchAnswer | StytchRefusal> {
  const giveUpAt = performance.now() + timeout * 1000;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return readAnswer(await sessions.authenticate(requestFor(token)));
    } catch (error) {
      const refusal = refusalIn(error as SdkError);
      if (refusal) return refusal;
      const wait = 100 * 2 ** attempt * (0.5 + Math.random() / 2);
      const isLast = attempt === retries || performance.now() + wait >= giveUpAt;
      if (isLast || !isWorthRepeating(error as SdkError)) throw error;
      await pause(wait);
    }
  }
}

const isNoFailure = ({ status_code: status }: SdkError) => status === 200 || status === 429;

const isWorthRepeating = ({ status_code: status }: SdkError) => status === undefined || status >= 500;

/** What Stytch holds against the session; undefined where it is rather our project, our rate, or Stytch itself that fails. */
function refusalIn({
  status_code: status = 500,
  error_type: type = '',
}: SdkError): StytchRefusal | undefined {
  if (status < 400 || status >= 500 || status === 429 || /credentials|project|secret/.test(type))
    return undefined;
  return /not_found|revoked|expired/.test(type) ? 'session_revoked' : 'token_invalid';
}

/** Nothing of the SDK's error is passed on but what Stytch calls it: the rest may hold the token. */
function unavailable(error: SdkError & { code?: string }, { timeout }: ReadStytchOptions): TollgateError {
  const { status_code: status, error_type: type, request_id: request, code } = error;
  const ours = { ETIMEDOUT: `no answer within ${timeout} s`, EOPENBREAKER: 'not asked: it failed just now' };
  const said = status === undefined ? 'no answer' : `${status} ${type} (${request ?? 'no request id'})`;
  const seconds = code === 'EOPENBREAKER' ? timeout : status === 429 ? tooManyFor : 1;
  return refuse('identity_provider_unavailable', {
    cause: `Stytch: ${ours[code as keyof typeof ours] ?? said}`,
    headers: { 'Retry-After': String(seconds) },
  });
}
