import Joi from 'joi';
import { sendsMail } from '../../mail/enqueue-mail.js';
import type { ReadSharedOptions } from '../../runtime/options.js';

/** What can be switched off, each with the feature that it is a part of: what is off has no route, nor have its parts. */
const parents = {
  password: null,
  signUp: 'password',
  passwordReset: 'password',
  otp: null,
  totp: null,
  passkeys: null,
  apiKeys: null,
  sessions: null,
  profile: null,
  emailChange: 'profile',
  account: null,
  deactivation: 'account',
  dataExport: 'account',
  erasure: 'account',
} as const satisfies Record<string, string | null>;

export type AuthFeature = keyof typeof parents;

/** The features that an application switches on or off. All are on, but those that need mail only where mail is configured. */
export type AuthFeatures = { readonly [F in AuthFeature]?: boolean | undefined };

/** Without mail these cannot work. */
const byMail: readonly AuthFeature[] = ['passwordReset', 'otp', 'emailChange'];

const names = Object.keys(parents) as AuthFeature[];

export const featuresSchema = Joi.object(
  Object.fromEntries(names.map((feature) => [feature, Joi.boolean()])),
).default({});

/**
 * The features that are on.
 *
 * @throws {TypeError} when one that needs mail is switched on, and none is configured
 */
export function featuresOf(features: AuthFeatures, shared: ReadSharedOptions): ReadonlySet<AuthFeature> {
  const mail = sendsMail(shared);
  const mailed = new Set(shared.emailVerification ? [...byMail, 'signUp'] : byMail);
  for (const feature of names.filter((name) => features[name] && mailed.has(name) && !mail)) {
    throw new TypeError(
      `authRouter(): option features.${feature} needs mail: give the option mail or smtpUrl`,
    );
  }
  if (mail && !shared.publicUrl) {
    throw new TypeError(
      'authRouter(): option publicUrl is required with mail: the links in mails begin with it',
    );
  }
  const on = (feature: AuthFeature): boolean => {
    const parent = parents[feature];
    return (features[feature] ?? (mail || !mailed.has(feature))) && (parent === null || on(parent));
  };
  return new Set(names.filter(on));
}
