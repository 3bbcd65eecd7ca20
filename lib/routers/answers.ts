import type { ParameterizedContext } from 'koa';
import { originOf } from '../middleware/origin-of.js';
import { connectionOf } from '../runtime/connection.js';
import type { ReadSharedOptions } from '../runtime/options.js';

export { originOf };

/** What every service is told by a route: the shared options, where the request came from, and the connection that it works on. */
export const asked = <Shared extends ReadSharedOptions>(ctx: ParameterizedContext, shared: Shared) => ({
  ...shared,
  ...originOf(ctx, shared),
  connection: connectionOf(ctx, shared.connection),
});

/** Success with nothing to say. */
export function done(ctx: ParameterizedContext): void {
  ctx.status = 204;
}

/** It will be done, or nobody is to know whether it will. */
export function accepted(ctx: ParameterizedContext, status: { readonly status: string }): void {
  ctx.status = 202;
  ctx.body = status;
}

/** There is something new, at `location`; default: under this path, by its id. */
export function created(
  ctx: ParameterizedContext,
  resource: { readonly id: string } | object,
  location = `${ctx.path.replace(/\/$/, '')}/${(resource as { readonly id: string }).id}`,
): void {
  ctx.status = 201;
  ctx.set('Location', location);
  ctx.body = resource;
}
