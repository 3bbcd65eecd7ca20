import Joi from 'joi';
import mongoose, { type Connection } from 'mongoose';
import type { ApiKey } from './api-key.js';
import { rememberKeys } from './connection-keys.js';
import type { CookieOptions } from './cookies.js';
import {
  algorithms,
  asKeyObject,
  type Key,
  readKey,
  type SigningAlgorithm,
  type SigningKey,
} from './keyring.js';
import { type MailTemplates, mailKinds, type SendMail } from './mail.js';
import { type Providers, providersSchema } from './providers.js';
import { isRedisClient, type RedisClient } from './redis.js';
import { changeRelay } from './redis-relay.js';
import { type ReadStytchOptions, type StytchOptions, stytchSchema } from './stytch-options.js';
import type { User } from './user.js';

/**
 * What an application says once and gives to every factory. Each takes what it needs and ignores the rest.
 *
 * @example const shared = { ...optionsFromEnv(process.env), connection };
 */
export interface SharedOptions {
  /** Default: `mongoose.connection`. Said once per request; later middlewares take it from the first. */
  connection?: Connection | undefined;
  /** The first signs, all verify: put a new key in front, and drop an old one when what it signed has expired. */
  keys?: readonly SigningKey[] | undefined;
  /** The one algorithm that tokens are signed with and accepted by. Default `HS256`. */
  algorithm?: SigningAlgorithm | undefined;
  /** `iss` of the tokens. Default `koa-tollgate`. */
  issuer?: string | undefined;
  /** `aud` of the tokens. Default: the issuer. */
  audience?: string | undefined;
  /** Seconds that an access token is valid. Default 900. */
  accessTtl?: number | undefined;
  /** Seconds that a session lives without being refreshed. Default 2,592,000 (30 days). */
  refreshTtl?: number | undefined;
  /** Seconds in which a refresh token that was just replaced, or just made, is answered with the same one. Default 30. */
  refreshGrace?: number | undefined;
  /** Seconds after which a session ends however often it is refreshed. Default 7,776,000 (90 days). */
  sessionTtl?: number | undefined;
  /**
   * What ends when a refresh token is used by two parties: the session (`endSession`, the default), all sessions of the user
   * (`endSessions`), or the account, until somebody activates it again (`deactivate`).
   */
  onTheft?: 'endSession' | 'endSessions' | 'deactivate' | undefined;
  /** Secrets mixed into passwords before hashing, newest first; apart from `keys`. Default: none. */
  peppers?: readonly string[] | undefined;
  /** bcrypt's cost, 10–16. Default 12. */
  passwordCost?: number | undefined;
  /** Where browsers reach the application, such as `https://app.example.com`: its origin is our own. */
  publicUrl?: string | undefined;
  /** Further origins whose pages may send requests with cookies. */
  allowedOrigins?: readonly string[] | undefined;
  /** Default `{ secure: true, sameSite: 'lax' }`. */
  cookies?: { secure?: boolean | undefined; sameSite?: CookieOptions['sameSite'] | undefined } | undefined;
  /**
   * Wrong guesses of a credential that are allowed, by an address and for an account: `5/minute` (the default), or `off`, which
   * production refuses.
   */
  credentialRate?: string | undefined;
  /** How many proxies of ours stand before the application: so many entries of `X-Forwarded-For` are believed. Default 0. */
  trustedProxies?: number | undefined;
  /** Whether an e-mail address must be proved before its user may sign in. Default true. */
  emailVerification?: boolean | undefined;
  /** Where a browser goes after it has signed in elsewhere, when the request named no place. Default `/`. */
  afterAuthUrl?: string | undefined;
  /** Where else users can sign in, for `oauthRouter()`. Default: nowhere. */
  providers?: Providers | undefined;
  /** Sends a mail by a service of the application's own; it is called again when it fails. */
  mail?: SendMail | undefined;
  /** Sends mail by SMTP: `smtp://user:password@host:587`. Needs the package nodemailer. */
  smtpUrl?: string | undefined;
  /** The sender of mails, such as `Acme <hello@acme.example>`. Required with `smtpUrl`. */
  mailFrom?: string | undefined;
  /** What mails call the application. Default: the host of `publicUrl`. */
  appName?: string | undefined;
  /** The application's own templates, by the name of the mail; whole ones or parts. */
  templates?: MailTemplates | undefined;
  /** The Stytch project whose B2B sessions are taken where `accept` says so. Needs the package stytch. */
  stytch?: StytchOptions | undefined;
  /**
   * True lets people sign in with passkeys on `publicUrl` and those of `allowedOrigins` that belong to the same domain; `rpId`
   * names a parent domain of it, such as `example.com`. Needs the package @simplewebauthn/server. Default false.
   */
  passkeys?: boolean | { rpId: string } | undefined;
  /** Seconds for which `quota()` and `consumeQuota` remember an idempotency key. Default 60. */
  quotaIdempotencyTtl?: number | undefined;
  /** Hours between two clean-ups by the worker of what has expired; 0: never. Default 6. */
  cleanupHours?: number | undefined;
  /**
   * A client of ioredis, which the application closes: holds rate limits, and tells other processes of changes sooner. MongoDB
   * serves wherever it is away.
   */
  redis?: RedisClient | undefined;
  /** In place of `redis`: a client of ours, closed with the connection. Needs the package ioredis. */
  redisUrl?: string | undefined;
  /** What the names of keys and channels in Redis begin with. Default `tollgate:`. */
  redisPrefix?: string | undefined;
  /** True reads what a guard decides by on every request, and what those after it do, instead of trusting the change feed. Default false. */
  strict?: boolean | undefined;
  /** What the application calls the role of every new user, and the one of which somebody must be left. Default `user` and `admin`. */
  roleNames?: { user?: string | undefined; admin?: string | undefined } | undefined;
  /** What a client sees of a user, wherever one is answered. Default: all of `User`. */
  showUser?: ((user: User) => object) | undefined;
  /** What a client sees of an API key; the key itself is added when it is made. Default: all of `ApiKey`. */
  showApiKey?: ((apiKey: ApiKey) => object) | undefined;
}

/** Shared options after validation: defaults filled in, keys read, frozen. They can be given to any other factory. */
export interface ReadSharedOptions extends SharedOptions {
  readonly keyring: readonly Key[];
  readonly algorithm: SigningAlgorithm;
  readonly issuer: string;
  readonly audience: string;
  readonly accessTtl: number;
  readonly refreshTtl: number;
  readonly refreshGrace: number;
  readonly sessionTtl: number;
  readonly onTheft: 'endSession' | 'endSessions' | 'deactivate';
  readonly peppers: readonly string[];
  readonly passwordCost: number;
  readonly allowedOrigins: readonly string[];
  readonly cookies: CookieOptions;
  readonly strict: boolean;
  readonly redisPrefix: string;
  readonly credentialRate: string;
  readonly trustedProxies: number;
  readonly emailVerification: boolean;
  readonly appName: string;
  readonly quotaIdempotencyTtl: number;
  readonly cleanupHours: number;
  readonly passkeys: boolean | { readonly rpId: string };
  readonly afterAuthUrl: string;
  readonly providers: Providers;
  readonly stytch?: ReadStytchOptions | undefined;
  readonly roleNames: RoleNames;
  readonly showUser: (user: User) => object;
  readonly showApiKey: (apiKey: ApiKey) => object;
}

export interface RoleNames {
  readonly user: string;
  readonly admin: string;
}

type Schemas = Record<string, Joi.Schema>;

const isConnection: Joi.CustomValidator = (value, helpers) =>
  value instanceof mongoose.Connection ? value : helpers.message({ custom: 'must be a Mongoose connection' });

const isRedis: Joi.CustomValidator = (value, helpers) =>
  isRedisClient(value)
    ? value
    : helpers.message({ custom: 'must be a client of ioredis, and not of a cluster' });

const checkKey: Joi.CustomValidator = (key: SigningKey, helpers) => {
  const [, { algorithm }] = helpers.state.ancestors;
  try {
    readKey(key, algorithms.includes(algorithm) ? algorithm : 'HS256');
    return key;
  } catch (error) {
    return helpers.message({ custom: (error as Error).message });
  }
};

/** `https://app.example.com`, without a path: what a browser sends as `Origin`. */
const origin = Joi.string().custom((value: string, helpers) => {
  if (URL.canParse(value) && new URL(value).origin === value) return value;
  return helpers.message({ custom: 'must be an origin such as https://app.example.com, without a path' });
});

const secureCookies: Joi.CustomValidator = (secure: boolean, helpers) => {
  const { sameSite } = helpers.state.ancestors[0];
  if (secure) return secure;
  if (sameSite === 'none')
    return helpers.message({ custom: 'must be true where sameSite is none: browsers want it secure' });
  if (process.env.NODE_ENV !== 'production') return secure;
  return helpers.message({ custom: 'must be true in production: cookies need TLS' });
};

/** Wrong guesses in a span of time. */
export interface Rate {
  readonly points: number;
  readonly seconds: number;
}

/** Reads `5/minute`; null for `off`, undefined for any other text. */
export function rateOf(text: string): Rate | null | undefined {
  if (text === 'off') return null;
  const [, points, unit] = /^([1-9]\d{0,6})\/(second|minute|hour|day)$/.exec(text) ?? [];
  const seconds = { second: 1, minute: 60, hour: 3_600, day: 86_400 }[unit as 'minute'];
  return points === undefined ? undefined : { points: Number(points), seconds };
}

const rate: Joi.CustomValidator = (text: string, helpers) => {
  const read = rateOf(text);
  if (read === undefined)
    return helpers.message({
      custom: 'must be a rate such as 5/minute (per second, minute, hour or day), or off',
    });
  if (read) return text;
  if (process.env.NODE_ENV !== 'production') return text;
  return helpers.message({ custom: 'must not be off in production: passwords could be guessed without end' });
};

const withSender: Joi.CustomValidator = (url, helpers) =>
  helpers.state.ancestors[0].mailFrom
    ? url
    : helpers.message({ custom: 'needs the option mailFrom: who the mails come from' });

const template = Joi.object({ subject: Joi.string(), text: Joi.string(), html: Joi.string() });

/** A passkey belongs to a domain: that of `publicUrl`, or one above it. */
const rpId: Joi.CustomValidator = (passkeys: boolean | { rpId: string }, helpers) => {
  const { publicUrl } = helpers.state.ancestors[0];
  if (!passkeys) return passkeys;
  if (typeof publicUrl !== 'string' || !URL.canParse(publicUrl))
    return helpers.message({ custom: 'needs publicUrl: a passkey belongs to its domain' });
  const { hostname } = new URL(publicUrl);
  if (passkeys === true || `.${hostname}`.endsWith(`.${passkeys.rpId}`)) return passkeys;
  return helpers.message({ custom: `must have as rpId the host of publicUrl or a domain above it` });
};

const twoRoles: Joi.CustomValidator = (names: RoleNames, helpers) =>
  names.user === names.admin
    ? helpers.message({ custom: 'must be two: every new user would be an administrator' })
    : names;

const hostOf = (url: unknown): string =>
  typeof url === 'string' && URL.canParse(url) ? new URL(url).host : 'this application';

const seconds = Joi.number().integer().min(1);

/** Makes something when it is first asked for: Joi takes milliseconds to build a schema. */
function once<T>(make: () => T): () => T {
  const made: T[] = [];
  return () => {
    if (made.length === 0) made.push(make());
    return made[0] as T;
  };
}

/** The schemas of the shared options; `optionsFromEnv` uses the same. */
export const sharedSchemas = once(
  (): Schemas => ({
    algorithm: Joi.valid(...algorithms).default('HS256'),
    connection: Joi.any().custom(isConnection),
    keys: Joi.array().items(Joi.any().custom(checkKey)).min(1),
    issuer: Joi.string().default('koa-tollgate'),
    audience: Joi.string().default(Joi.ref('issuer')),
    accessTtl: seconds.max(86_400).default(900),
    refreshTtl: seconds.default(2_592_000),
    refreshGrace: Joi.number().integer().min(0).max(300).default(30),
    sessionTtl: seconds.default(7_776_000),
    onTheft: Joi.valid('endSession', 'endSessions', 'deactivate').default('endSession'),
    peppers: Joi.array().items(Joi.string().min(32)).default([]),
    passwordCost: Joi.number().integer().min(10).max(16).default(12),
    publicUrl: Joi.string().uri({ scheme: ['http', 'https'] }),
    allowedOrigins: Joi.array().items(origin).default([]),
    cookies: Joi.object({
      secure: Joi.boolean().custom(secureCookies).default(true),
      sameSite: Joi.valid('lax', 'strict', 'none').default('lax'),
    }).default({ secure: true, sameSite: 'lax' }),
    passkeys: Joi.alternatives(Joi.boolean(), Joi.object({ rpId: Joi.string().hostname().required() }))
      .custom(rpId)
      .default(false),
    redis: Joi.any().custom(isRedis),
    redisUrl: Joi.string().uri({ scheme: ['redis', 'rediss'] }),
    redisPrefix: Joi.string().max(100).default('tollgate:'),
    strict: Joi.boolean().default(false),
    roleNames: Joi.object({ user: Joi.string().default('user'), admin: Joi.string().default('admin') })
      .custom(twoRoles)
      .default({ user: 'user', admin: 'admin' }),
    showUser: Joi.function().default(() => (user: User) => user),
    showApiKey: Joi.function().default(() => (apiKey: ApiKey) => apiKey),
    credentialRate: Joi.string().custom(rate).default('5/minute'),
    trustedProxies: Joi.number().integer().min(0).max(10).default(0),
    emailVerification: Joi.boolean().default(true),
    afterAuthUrl: Joi.string().default('/'),
    providers: providersSchema,
    stytch: stytchSchema,
    mail: Joi.function(),
    smtpUrl: Joi.string()
      .uri({ scheme: ['smtp', 'smtps'] })
      .custom(withSender),
    mailFrom: Joi.string(),
    quotaIdempotencyTtl: seconds.max(604_800).default(60),
    cleanupHours: Joi.number().min(0).max(8_760).default(6),
    appName: Joi.string().default(Joi.ref('publicUrl', { adjust: hostOf })), // a function would get a deep copy of all options
    templates: Joi.object().pattern(Joi.valid(...mailKinds), template),
  }),
);

/** Options that hold options, which errors name as `cookies.secure`. */
const groups: Readonly<Record<string, number>> = { cookies: 2, roleNames: 2, stytch: 2, providers: 3 };

/** Marks what was validated; a spread carries it along, so that keys are not read again for every request. */
const read = Symbol('validated options');

/**
 * Validates the options given to `factory`, with every problem in one error, and freezes the result. Of options that were
 * read already only the factory's `own` are validated.
 *
 * @throws {TypeError} naming each option that is wrong or unknown, the type of its value, and what it must be
 */
export function readOptions<Own = unknown>(
  factory: string,
  given: unknown,
  own: Schemas = {},
): ReadSharedOptions & Own {
  const nameOf = (option: string) => `option ${option}`;
  if ((given as { [read]?: true } | undefined)?.[read]) {
    return relayed(Object.freeze(checkOptions(factory, given, own, nameOf, true)) as ReadSharedOptions & Own);
  }
  const value = checkOptions(
    factory,
    given ?? {},
    { ...sharedSchemas(), ...own },
    nameOf,
  ) as ReadSharedOptions & Own;
  const keyring = Object.freeze((value.keys ?? []).map((key) => readKey(key, value.algorithm)));
  rememberKeys(value.connection ?? mongoose.connection, keyring);
  return relayed(Object.freeze({ ...value, keyring, [read]: true }));
}

/** Whoever has options with Redis may change something, or remember something, on their connection. */
function relayed<Options extends ReadSharedOptions>(options: Options): Options {
  if (options.redis || options.redisUrl)
    changeRelay(options.connection ?? mongoose.connection).through(options);
  return options;
}

/** Compiled once a factory, whose schemas are always the same. */
const compiled = new Map<string, Joi.ObjectSchema>();

function schemaOf(name: string, schemas: Schemas): Joi.ObjectSchema {
  const schema = compiled.get(name) ?? Joi.object(schemas);
  compiled.set(name, schema);
  return schema;
}

/** Validates `given` by `schemas`; `nameOf` says what the reader of an error knows an option by. */
export function checkOptions(
  factory: string,
  given: unknown,
  schemas: Schemas,
  nameOf: (option: string) => string,
  allowUnknown = false,
): object {
  const rules = { abortEarly: false, allowUnknown, convert: false, errors: { label: false } } as const;
  const { value, error } = schemaOf(`${factory} ${allowUnknown}`, schemas).validate(given, rules);
  if (!error) return value;
  throw new TypeError(`${factory}(): ${error.details.map((detail) => describe(detail, nameOf)).join('; ')}`);
}

/** For factories that read tokens. */
export const verifyingKeys = once(
  (): Schemas => ({
    keys: (sharedSchemas().keys as Joi.Schema).required().messages({
      'any.required': 'is required: pass a list with a secret of at least 32 bytes',
    }),
  }),
);

/** For factories that make tokens. */
export const signingKeys = once(
  (): Schemas => ({
    keys: (verifyingKeys().keys as Joi.Schema).custom(([first]: SigningKey[], helpers) =>
      asKeyObject(first as SigningKey).type === 'public'
        ? helpers.message({ custom: 'must begin with a private or secret key, which signs the tokens' })
        : helpers.original,
    ),
  }),
);

function describe(
  { message, path, context, type }: Joi.ValidationErrorItem,
  nameOf: (option: string) => string,
): string {
  const depth = groups[String(path[0])] ?? 1;
  const [option, ...rest] = [path.slice(0, depth).join('.'), ...path.slice(depth)];
  const name =
    path.length === 0 ? 'the options' : nameOf(String(option)) + rest.map((step) => `[${step}]`).join('');
  if (type === 'object.unknown') return `${name} is unknown; remove it or mend its spelling`;
  if (type === 'any.required') return `${name} ${message}`;
  return `${name} ${message} (got ${typeName(context?.value)})`;
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object'
    ? `an object (${value.constructor?.name ?? 'no class'})`
    : `a ${typeof value}`;
}
