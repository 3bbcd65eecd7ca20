import { isIP } from 'node:net';
import type { ParameterizedContext } from 'koa';
import type { Origin } from '../audit/record-audit.js';
import { requestIdOf } from '../middleware/request-id.js';

/** Where a request came from, for sessions and the audit log. */
export function originOf(ctx: ParameterizedContext): Origin {
  const userAgent = ctx.get('User-Agent').slice(0, 512);
  return {
    requestId: requestIdOf(ctx),
    ...(isIP(ctx.ip) !== 0 && { ip: ctx.ip }),
    ...(userAgent && { userAgent }),
  };
}

/** Success with nothing to say. */
export function done(ctx: ParameterizedContext): void {
  ctx.status = 204;
}
