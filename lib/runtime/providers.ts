import Joi from 'joi';

/** A provider that speaks OpenID Connect, or OAuth 2 and tells of its users at a URL of its own. */
export interface OAuthProvider {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Its OpenID Connect issuer, such as `https://login.example.com`: everything else is read from its discovery document. */
  readonly issuer?: string | undefined;
  /** These three replace what is known of google and github, or what the discovery document says. */
  readonly authorizeUrl?: string | undefined;
  readonly tokenUrl?: string | undefined;
  readonly profileUrl?: string | undefined;
  /** github only. */
  readonly emailsUrl?: string | undefined;
  /** Separated by spaces. Default `openid email profile`, at github `read:user user:email`. */
  readonly scope?: string | undefined;
  /**
   * Whether a sign-in there counts as recent here although the provider does not say when the person last proved who they are: it may have
   * been silent. Default false.
   */
  readonly countsAsRecent?: boolean | undefined;
}

/** Telegram's login widget. */
export interface TelegramProvider {
  readonly botToken: string;
}

/** Where users may sign in, by the name that stands in the routes: google, github, telegram, and any other with an `issuer`. */
export interface Providers {
  readonly google?: OAuthProvider | undefined;
  readonly github?: OAuthProvider | undefined;
  readonly telegram?: TelegramProvider | undefined;
  readonly [name: string]: OAuthProvider | TelegramProvider | undefined;
}

const loopback = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(\/|$)/;

const encrypted: Joi.CustomValidator = (url: string, helpers) => {
  if (process.env.NODE_ENV !== 'production' || url.startsWith('https:') || loopback.test(url)) return url;
  return helpers.message({ custom: 'must begin with https: in production' });
};
const url = Joi.string()
  .uri({ scheme: ['http', 'https'] })
  .custom(encrypted);
const client = {
  clientId: Joi.string().required(),
  clientSecret: Joi.string().required(),
  scope: Joi.string(),
  countsAsRecent: Joi.boolean(),
};
const urls = { authorizeUrl: url, tokenUrl: url, profileUrl: url };

/** Without an issuer there is nothing to discover, so every URL must be said. */
const discovered = url.when('issuer', {
  is: Joi.exist(),
  otherwise: Joi.required().messages({ 'any.required': 'is required where there is no issuer' }),
});

export const providersSchema = Joi.object({
  google: Joi.object({ ...client, ...urls, issuer: url }),
  github: Joi.object({ ...client, ...urls, emailsUrl: url }),
  telegram: Joi.object({ botToken: Joi.string().required() }),
})
  .pattern(
    /^[a-z][a-z0-9-]{0,31}$/,
    Joi.object({
      ...client,
      issuer: url,
      authorizeUrl: discovered,
      tokenUrl: discovered,
      profileUrl: discovered,
    }),
  )
  .default({});
