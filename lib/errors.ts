/**
 * Every refusal of koa-tollgate: its stable code, its HTTP status and its title. Nothing is refused with a code
 * that does not stand here.
 */
const table = {
  validation_failed: [400, 'The request is not valid'],
  credentials_conflict: [400, 'The credentials contradict each other'],
  token_used: [400, 'The link or code is not valid any more'],
  organization_required: [400, 'An organization must be named'],
  token_missing: [401, 'Sign in first'],
  token_invalid: [401, 'The token is not valid'],
  credentials_invalid: [401, 'The credentials are not valid'],
  session_revoked: [401, 'The session has ended'],
  reauthentication_required: [401, 'Sign in again to do this'],
  second_factor_required: [401, 'A second factor is required'],
  subscription_inactive: [402, 'The subscription is not active'],
  role_missing: [403, 'A role is missing'],
  permission_missing: [403, 'A permission is missing'],
  claim_missing: [403, 'A claim is missing'],
  factor_missing: [403, 'An authentication factor is missing'],
  entitlement_missing: [403, 'The plan does not include this'],
  email_unverified: [403, 'The e-mail address is not verified'],
  cross_origin: [403, 'The request comes from another origin'],
  ip_not_allowed: [403, 'The address is not allowed'],
  user_inactive: [403, 'The user is deactivated'],
  credential_not_allowed: [403, 'This kind of credential is not accepted here'],
  not_found: [404, 'Not found'],
  method_not_allowed: [405, 'The method is not allowed'],
  email_taken: [409, 'The e-mail address is taken'],
  already_member: [409, 'The user is a member already'],
  last_owner: [409, 'An organization needs an owner'],
  last_admin: [409, 'An administrator is needed'],
  last_credential: [409, 'This is the last way to sign in'],
  seats_exhausted: [409, 'All seats are taken'],
  subscription_exists: [409, 'There is a subscription already'],
  conflict: [409, 'The request conflicts with the current state'],
  idempotency_in_progress: [409, 'The first request with this key is still running'],
  body_too_large: [413, 'The body is too large'],
  media_type: [415, 'The media type is not supported'],
  idempotency_mismatch: [422, 'The idempotency key was used for another request'],
  rate_limited: [429, 'Too many requests'],
  quota_exceeded: [429, 'The quota is used up'],
  internal: [500, 'Something went wrong'],
  overloaded: [503, 'The service is overloaded'],
  database_unavailable: [503, 'The database is not available'],
  identity_provider_unavailable: [503, 'The identity provider is not available'],
  payments_unavailable: [503, 'Payments are not available'],
  draining: [503, 'The service is shutting down'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

/** The stable machine name of a refusal, the `code` of its problem details. */
export type ErrorCode = keyof typeof table;

/** Every code with its HTTP status and its title, frozen: for clients, documents and tests. */
export const errorCodes = Object.freeze(
  Object.fromEntries(
    Object.entries(table).map(([code, [status, title]]) => [code, Object.freeze({ status, title })]),
  ),
) as Readonly<Record<ErrorCode, Readonly<{ status: number; title: string }>>>;

/** What a refusal may carry beside its code. Every other key becomes a member of the problem details. */
export interface RefusalDetails {
  /** A sentence for the client's developer: what was wrong and what to do. Kept from the client where status ≥ 500. */
  detail?: string | undefined;
  /** Response headers that go with the refusal, such as `Retry-After`. */
  headers?: Record<string, string> | undefined;
  /** What caused it; logged, never sent. */
  cause?: unknown;
  [extra: string]: unknown;
}

const brand = Symbol.for('koa-tollgate.error');

/**
 * A refusal: one code of `errorCodes`, rendered by `problems()` as RFC 9457 problem details.
 *
 * `status`, `expose` and `headers` are plain writable properties, because Koa's `ctx.throw` assigns them; without
 * `problems()` Koa's own error handler answers with the same status.
 *
 * @example if (isTollgateError(error, 'quota_exceeded')) showUpgrade(error.extras.resetsAt);
 */
export class TollgateError extends Error {
  override name = 'TollgateError';
  readonly code: ErrorCode;
  readonly extras: Readonly<Record<string, unknown>>;
  status: number;
  expose: boolean;
  headers: Record<string, string>;

  static {
    Object.defineProperty(TollgateError.prototype, brand, { value: true });
  }

  constructor(code: ErrorCode, { detail, headers, cause, ...extras }: RefusalDetails = {}) {
    const [status, title] = table[code];
    super(detail ?? title, cause === undefined ? undefined : { cause });
    this.code = code;
    this.extras = extras;
    this.status = status;
    this.expose = status < 500;
    this.headers = { ...headersOf(status), ...headers };
  }
}

/** A 401 says how to authenticate (RFC 6750, section 3), a 503 when to come back. */
export function headersOf(status: number): Record<string, string> {
  if (status === 401) return { 'WWW-Authenticate': 'Bearer' };
  if (status === 503) return { 'Retry-After': '1' };
  return {};
}

/** True for a `TollgateError`, of this copy of the package or another, with `code` when one is given. */
export function isTollgateError(error: unknown, code?: ErrorCode): error is TollgateError {
  if (!(error instanceof Error) || !(brand in error)) return false;
  return code === undefined || (error as Error as TollgateError).code === code;
}

/** Makes the error to throw: `throw refuse('role_missing', { requiredRoles })`. */
export function refuse(code: ErrorCode, details?: RefusalDetails): TollgateError {
  return new TollgateError(code, details);
}

/** False where the intrinsics are frozen. */
const canForgoStacks = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')?.writable === true;

/** The same without a stack, which costs more than all the rest: for what is refused many thousand times a second, always at the same place. */
export function refuseWithoutStack(code: ErrorCode, details?: RefusalDetails): TollgateError {
  if (!canForgoStacks) return refuse(code, details);
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return refuse(code, details);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
