import type { ParameterizedContext } from 'koa';
import type { Origin } from '../audit/record-audit.js';
import { clientAddress } from '../runtime/client-address.js';
import { requestIdOf } from './request-id.js';

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
