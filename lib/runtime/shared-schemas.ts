import Joi from 'joi';
import mongoose from 'mongoose';
import { algorithms, readKey, type SigningKey } from './keyring.js';
import { mailKinds } from './mail.js';
import { providersSchema } from './providers.js';
import { rateOf } from './rate.js';
import { isRedisClient } from './redis.js';
import type { RoleNames } from './shared-options.js';
import { stytchSchema } from './stytch-options.js';

/** What options are validated by, by their names. */
export type Schemas = Record<string, Joi.Schema>;

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

/** A rate, or `off`, but in production, where `danger` is why. */
const rate =
  (danger: string): Joi.CustomValidator =>
  (text: string, helpers) => {
    const read = rateOf(text);
    if (read === undefined)
      return helpers.message({
        custom: 'must be a rate such as 5/minute (per second, minute, hour or day), or off',
      });
    if (read) return text;
    if (process.env.NODE_ENV !== 'production') return text;
    return helpers.message({ custom: `must not be off in production: ${danger}` });
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

/** How users and API keys are shown where the application says nothing else. */
export const showAll = (whole: object): object => whole;

const seconds = Joi.number().integer().min(1);

/** Makes something when it is first asked for: Joi takes milliseconds to build a schema. */
export function once<T>(make: () => T): () => T {
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
    showUser: Joi.function().default(() => showAll),
    showApiKey: Joi.function().default(() => showAll),
    credentialRate: Joi.string().custom(rate('passwords could be guessed without end')).default('5/minute'),
    mailRate: Joi.string().custom(rate('anybody could be sent mails without end')).default('5/minute'),
    organizationRate: Joi.string().custom(rate('a user could make them without end')).default('20/hour'),
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
