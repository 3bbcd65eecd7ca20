import { createRequire } from 'node:module';
import type { ReadSharedOptions } from '../../runtime/options.js';

const name = '@simplewebauthn/server';

/**
 * The optional package that checks what authenticators say.
 *
 * @throws {TypeError} when it is not installed
 */
export function webauthn(): typeof import('@simplewebauthn/server') {
  try {
    return createRequire(import.meta.url)(name); // by require, so that a router notices when it is made
  } catch (cause) {
    throw new TypeError(`The option passkeys needs the package ${name}: npm install ${name}`, { cause });
  }
}

/** On whose behalf authenticators make and use passkeys (WebAuthn, section 4: relying party). */
export interface RelyingParty {
  readonly rpID: string;
  readonly rpName: string;
  /** Whose pages may ask for them. */
  readonly origins: string[];
}

export function relyingPartyOf({
  publicUrl,
  allowedOrigins,
  passkeys,
  appName,
}: ReadSharedOptions): RelyingParty {
  if (!passkeys || !publicUrl)
    throw new TypeError('Give the options passkeys and publicUrl: a passkey belongs to its domain');
  const own = new URL(publicUrl);
  const rpID = passkeys === true ? own.hostname : passkeys.rpId;
  const related = allowedOrigins.filter((origin) => `.${new URL(origin).hostname}`.endsWith(`.${rpID}`));
  return { rpID, rpName: appName, origins: [own.origin, ...related] };
}
