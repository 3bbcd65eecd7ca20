import { checkOptions, type SharedOptions, sharedSchemas } from './options.js';

type Environment = Readonly<Record<string, string | undefined>>;

const text = (value: string): string => value;
const list = (value: string): string[] => value.split(',').flatMap((item) => item.trim() || []);
const number = (value: string): unknown => (/^\d+$/.test(value) ? Number(value) : value); // the check refuses the rest
const flag = (value: string): unknown => ({ true: true, 1: true, false: false, 0: false })[value] ?? value;

type Setting = readonly [variable: string, option: string, read: (value: string) => unknown];

/** The variables of a provider, such as `GOOGLE_CLIENT_ID`; there is one when its client id is set. */
const provider = (name: string, ...more: [variable: string, option: string][]): Setting[] =>
  more.map(([variable, option]) => [
    `${name.toUpperCase()}_${variable}`,
    `providers.${name}.${option}`,
    text,
  ]);
const client: [string, string][] = [
  ['CLIENT_ID', 'clientId'],
  ['CLIENT_SECRET', 'clientSecret'],
  ['AUTHORIZE_URL', 'authorizeUrl'],
  ['TOKEN_URL', 'tokenUrl'],
  ['PROFILE_URL', 'profileUrl'],
];

/** Each variable, without its prefix: the option that it sets, and how its text is read. Durations are seconds. */
const settings: readonly Setting[] = [
  ['SECRET', 'keys', list],
  ['PEPPER', 'peppers', list],
  ['PUBLIC_URL', 'publicUrl', text],
  ['ALLOWED_ORIGINS', 'allowedOrigins', list],
  ['COOKIE_SAMESITE', 'cookies.sameSite', text],
  ['COOKIE_SECURE', 'cookies.secure', flag],
  ['JWT_ALGORITHM', 'algorithm', text],
  ['ACCESS_TTL', 'accessTtl', number],
  ['REFRESH_TTL', 'refreshTtl', number],
  ['REFRESH_GRACE', 'refreshGrace', number],
  ['CREDENTIAL_RATE', 'credentialRate', text],
  ['MAIL_RATE', 'mailRate', text],
  ['ORGANIZATION_RATE', 'organizationRate', text],
  ['TRUSTED_PROXIES', 'trustedProxies', number],
  ['QUOTA_IDEMPOTENCY_TTL', 'quotaIdempotencyTtl', number],
  ['CLEANUP_HOURS', 'cleanupHours', number],
  ['REDIS_URL', 'redisUrl', text],
  ['REDIS_PREFIX', 'redisPrefix', text],
  ['SMTP_URL', 'smtpUrl', text],
  ['MAIL_FROM', 'mailFrom', text],
  ['AFTER_AUTH_URL', 'afterAuthUrl', text],
  ['STYTCH_PROJECT_ID', 'stytch.projectId', text],
  ['STYTCH_SECRET', 'stytch.secret', text],
  ['STYTCH_ENV', 'stytch.env', text],
  ['STYTCH_API_BASE', 'stytch.env', text], // outranks test and live
  ['STYTCH_TIMEOUT', 'stytch.timeout', number],
  ['STYTCH_RETRIES', 'stytch.retries', number],
  ['STYTCH_CACHE_TTL', 'stytch.cacheTtl', number],
  ...provider('google', ...client),
  ...provider('github', ...client, ['EMAILS_URL', 'emailsUrl']),
  ...provider('oidc', ...client, ['ISSUER', 'issuer']),
  ...provider('telegram', ['BOT_TOKEN', 'botToken']),
];

/** Options whose absence means that the others beside them ask for nothing. */
const gates = [
  'stytch.projectId',
  'providers.google.clientId',
  'providers.github.clientId',
  'providers.oidc.clientId',
];
const gateOf = (option: string): string =>
  gates.find((gate) => option.startsWith(gate.slice(0, gate.lastIndexOf('.') + 1))) ?? option;

/**
 * Reads the shared options from `TOLLGATE_*` variables; unset and empty ones leave the default.
 *
 * A list is separated by commas. `prefixes` are tried in order, so `['TOLLGATE_', '']` takes plain names too.
 *
 * @throws {TypeError} with every problem at once, each naming its variable; never with a value
 * @example const shared = { ...optionsFromEnv(process.env), connection };
 */
export function optionsFromEnv(
  env: Environment = process.env,
  prefixes: readonly string[] = ['TOLLGATE_'],
): SharedOptions {
  const given: Record<string, unknown> = {};
  const variables = new Map<string, string>();
  for (const [variable, option] of settings) {
    const name = prefixes.map((prefix) => prefix + variable).find((candidate) => env[candidate]);
    if (name) variables.set(option, name);
  }
  for (const [, option, read] of settings) {
    const name = variables.get(option);
    if (name && variables.has(gateOf(option))) put(given, option.split('.'), read(env[name] as string));
  }
  const named = new Map(settings.map(([variable, option]) => [option, (prefixes[0] ?? '') + variable]));
  checkOptions(
    'optionsFromEnv',
    given,
    sharedSchemas(),
    (option) => variables.get(option) ?? named.get(option) ?? `option ${option}`,
  );
  return given;
}

/** Sets what `path` leads to. */
function put(given: Record<string, unknown>, [head = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    given[head] = value;
    return;
  }
  const inner = { ...(given[head] as object) };
  put(inner, rest, value);
  given[head] = inner;
}
