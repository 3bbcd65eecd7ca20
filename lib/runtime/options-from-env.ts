import { checkOptions, type SharedOptions, sharedSchemas } from './options.js';

type Environment = Readonly<Record<string, string | undefined>>;

const text = (value: string): string => value;
const list = (value: string): string[] => value.split(',').flatMap((item) => item.trim() || []);
const number = (value: string): unknown => (/^\d+$/.test(value) ? Number(value) : value); // the check refuses the rest
const flag = (value: string): unknown => ({ true: true, 1: true, false: false, 0: false })[value] ?? value;

/** Each variable, without its prefix: the option that it sets, and how its text is read. Durations are seconds. */
const settings: readonly (readonly [variable: string, option: string, read: (value: string) => unknown])[] = [
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
  ['TRUSTED_PROXIES', 'trustedProxies', number],
  ['AFTER_AUTH_URL', 'afterAuthUrl', text],
];

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
  const given: Record<string, unknown> & { cookies?: Record<string, unknown> } = {};
  const variables = new Map<string, string>();
  for (const [variable, option, read] of settings) {
    const name = prefixes.map((prefix) => prefix + variable).find((candidate) => env[candidate]);
    if (!name) continue;
    variables.set(option, name);
    const [head, tail] = option.split('.') as [string, string?];
    const value = read(env[name] as string);
    given[head] = tail ? { ...(given[head] as object), [tail]: value } : value;
  }
  checkOptions(
    'optionsFromEnv',
    given,
    sharedSchemas(),
    (option) => variables.get(option) ?? `option ${option}`,
  );
  return given;
}
