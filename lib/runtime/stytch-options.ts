import Joi from 'joi';

/** The Stytch project whose B2B sessions an application takes as a credential. */
export interface StytchOptions {
  projectId: string;
  secret: string;
  /** `test` (the default), `live`, or the address of the API: a custom domain, or a stand-in in tests. */
  env?: string | undefined;
  /** Seconds that a verification may take with all its retries, and after which an unavailable Stytch is tried again. Default 10. */
  timeout?: number | undefined;
  /** How often a call is repeated that Stytch did not answer, or answered with 5xx. Default 3. */
  retries?: number | undefined;
  /** Seconds that a verified session is believed, and never beyond its own expiry; 0: not at all. Default 300. */
  cacheTtl?: number | undefined;
  /** The Stytch organizations whose members are let in. Default: all of the project's. */
  organizationIds?: readonly string[] | undefined;
  /** Whether a member who has no user yet is given one. Default true. */
  autoProvision?: boolean | undefined;
  /**
   * Whether a new member with the verified e-mail address of an existing user is that user. Give it only where every
   * organization's way of signing in proves the address. Default false.
   */
  linkByEmail?: boolean | undefined;
}

/** The same, with defaults. */
export interface ReadStytchOptions extends StytchOptions {
  readonly env: string;
  readonly timeout: number;
  readonly retries: number;
  readonly cacheTtl: number;
  readonly autoProvision: boolean;
  readonly linkByEmail: boolean;
}

const address: Joi.CustomValidator = (env: string, helpers) => {
  if (env === 'test' || env === 'live' || env.startsWith('https://')) return env;
  if (process.env.NODE_ENV !== 'production') return env;
  return helpers.message({ custom: 'must begin with https:// in production: the secret is sent there' });
};

export const stytchSchema = Joi.object({
  projectId: Joi.string().required(),
  secret: Joi.string().required(),
  env: Joi.alternatives(Joi.valid('test', 'live'), Joi.string().uri({ scheme: ['http', 'https'] }))
    .custom(address)
    .default('test')
    .messages({ 'alternatives.types': 'must be test, live, or the address of the API' }),
  timeout: Joi.number().integer().min(1).max(60).default(10),
  retries: Joi.number().integer().min(0).max(10).default(3),
  cacheTtl: Joi.number().integer().min(0).max(3_600).default(300),
  organizationIds: Joi.array().items(Joi.string()).min(1),
  autoProvision: Joi.boolean().default(true),
  linkByEmail: Joi.boolean().default(false),
});
