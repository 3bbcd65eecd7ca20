import type { Connection } from 'mongoose';
import type { ApiKey } from './api-key.js';
import type { CookieOptions } from './cookies.js';
import type { Key, SigningAlgorithm, SigningKey } from './keyring.js';
import type { MailTemplates, SendMail } from './mail.js';
import type { Providers } from './providers.js';
import type { RedisClient } from './redis.js';
import type { ReadStytchOptions, StytchOptions } from './stytch-options.js';
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
  /**
   * Mails that somebody may ask for, as a client and for a recipient, sign-ups with verification among them: `5/minute` (the default), or
   * `off`, which production refuses.
   */
  mailRate?: string | undefined;
  /**
   * Attempts of a user to make an organization by `organizationRouter()`, also those that are refused for a conflict: `20/hour` (the default),
   * or `off`, which production refuses.
   */
  organizationRate?: string | undefined;
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
  readonly mailRate: string;
  readonly organizationRate: string;
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
