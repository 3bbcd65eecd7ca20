import type { ParameterizedContext } from 'koa';

export { originOf } from '../middleware/origin-of.js';

/** Success with nothing to say. */
export function done(ctx: ParameterizedContext): void {
  ctx.status = 204;
}

/** It will be done, or nobody is to know whether it will. */
export function accepted(ctx: ParameterizedContext, status: { readonly status: string }): void {
  ctx.status = 202;
  ctx.body = status;
}
