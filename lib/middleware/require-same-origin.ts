import type { IncomingHttpHeaders } from 'node:http';
import type { ParameterizedContext } from 'koa';
import { refuse } from '../errors.js';
import { type ReadSharedOptions, readOptions, type SharedOptions } from '../runtime/options.js';
import { described } from './described.js';
import type { Guard } from './guard.js';

export type OriginRules = Pick<ReadSharedOptions, 'publicUrl' | 'allowedOrigins'>;

const safe = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Lets a state-changing request through when it does not come from another site's page: `Sec-Fetch-Site` is `same-origin`,
 * or `Origin` is our own (that of `publicUrl`, else the request's host) or among `allowedOrigins`, or neither header is
 * there, as with whatever is no browser. GET, HEAD and OPTIONS pass.
 *
 * Refuses with 403 `cross_origin`. `authenticate()` does the same wherever the credential is a cookie.
 *
 * @example router.post('/newsletter', requireSameOrigin(), subscribe);
 */
export function requireSameOrigin(options: SharedOptions = {}): Guard {
  const rules = readOptions('requireSameOrigin', options);

  return described({ refuses: ['cross_origin'] }, function requireSameOrigin(ctx, next) {
    refuseOtherOrigins(ctx, rules);
    return next();
  });
}

export function refuseOtherOrigins(ctx: ParameterizedContext, rules: OriginRules): void {
  if (!safe.has(ctx.method)) requireOwnOrigin(ctx.req.headers, ctx.host, rules);
}

/** The same whatever the method: a page of anybody's may open a WebSocket, which is a GET. */
export function requireOwnOrigin(
  headers: IncomingHttpHeaders,
  host: string,
  { publicUrl, allowedOrigins }: OriginRules,
): void {
  const { origin = '', 'sec-fetch-site': site } = headers;
  if (site === 'same-origin' || (!site && !origin)) return;
  if (allowedOrigins.includes(origin) || isOwn(origin, host, publicUrl)) return;
  throw refuse('cross_origin', {
    detail: 'Send this from a page of this application, or add the origin to allowedOrigins',
  });
}

/** Without a `publicUrl` the host decides: behind a TLS proxy the scheme that Koa sees is not the browser's. */
function isOwn(origin: string, host: string, publicUrl: string | undefined): boolean {
  if (!URL.canParse(origin)) return false;
  return publicUrl ? origin === new URL(publicUrl).origin : new URL(origin).host === host;
}
