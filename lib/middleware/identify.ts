import type { IncomingHttpHeaders } from 'node:http';
import Joi from 'joi';
import { addressIn } from '../runtime/client-address.js';
import { opened } from '../runtime/connection.js';
import { once, readOptions } from '../runtime/options.js';
import type { AuthenticateOptions, SignedIn, SignedInBySession } from './authenticate.js';
import { credentialOf } from './credentials/credential-of.js';
import {
  type CredentialChoice,
  credentialOptions,
  credentialReaders,
} from './credentials/credential-readers.js';
import { requireOwnOrigin } from './require-same-origin.js';

export interface Identify extends AuthenticateOptions {
  /** Those of the request, as Node gives them: `request.headers`. */
  headers: IncomingHttpHeaders;
  /** Where the connection comes from: `request.socket.remoteAddress`. API keys that are bound to addresses want it. */
  remoteAddress?: string | undefined;
}

const own = once(() => ({
  ...credentialOptions(),
  headers: Joi.object().unknown().required(),
  remoteAddress: Joi.string(),
}));

/**
 * Who sent a request that never reaches Koa, such as one that wants to become a WebSocket: by the same credentials as `authenticate()`, and
 * with the same result. With `optional` it is null where there is none.
 *
 * Browsers let any page open a WebSocket to any host and send the cookies along, so with a cookie the `Origin` must be our own
 * (that of `publicUrl`, else the request's `Host`) or among `allowedOrigins`, although the method is GET (CWE-1385).
 *
 * It tells who that is now: a socket stays open when its session ends. Ask again with `strict: true` before what matters.
 *
 * @throws {TollgateError} what `authenticate()` refuses with, such as `token_missing` (401), `cross_origin` (403) or `database_unavailable` (503)
 * @example const { user } = await identify({ ...shared, headers: request.headers, remoteAddress: request.socket.remoteAddress });
 */
export function identify(input: Identify & { optional: true }): Promise<SignedIn | null>;
export function identify(
  input: Identify & { accept: readonly ['session']; optional?: false | undefined },
): Promise<SignedInBySession>;
export function identify(input: Identify & { optional?: false | undefined }): Promise<SignedIn>;
export async function identify(input: Identify): Promise<SignedIn | null> {
  const given = readOptions<CredentialChoice & Identify>('identify', input, own());
  const { headers, remoteAddress, strict, trustedProxies } = given;
  const ip = () => addressIn(headers, remoteAddress, trustedProxies);
  const presented = { headers, ip, strict, request: headers, guards: () => undefined };
  const sameOrigin = () => requireOwnOrigin(headers, headers.host ?? '', given);
  const readers = credentialReaders('identify', given);
  return credentialOf(presented, opened(given.connection), readers, given, sameOrigin);
}
