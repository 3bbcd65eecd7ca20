import type { ParameterizedContext } from 'koa';
import type { Origin } from '../audit/record-audit.js';
import { requestIdOf } from '../middleware/request-id.js';
import { clientAddress } from '../runtime/client-address.js';

/** Where a request came from, for sessions and the audit log. */
export function originOf(
  ctx: ParameterizedContext,
  { trustedProxies }: { readonly trustedProxies: number },
): Origin {
  const ip = clientAddress(ctx, trustedProxies);
  const userAgent = ctx.get('User-Agent').slice(0, 512);
  return {
    requestId: requestIdOf(ctx),
    ...(ip && { ip }),
    ...(userAgent && { userAgent }),
  };
}

/** Success with nothing to say. */
export function done(ctx: ParameterizedContext): void {
  ctx.status = 204;
}

/** It will be done, or nobody is to know whether it will. */
export function accepted(ctx: ParameterizedContext, status: { readonly status: string }): void {
  ctx.status = 202;
  ctx.body = status;
}
