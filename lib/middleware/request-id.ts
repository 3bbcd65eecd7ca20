import { randomUUID } from 'node:crypto';
import type { ParameterizedContext } from 'koa';
import type { Guard } from './guard.js';

export interface Identified {
  readonly requestId: string;
}

const sane = /^[\w.:-]{1,128}$/;

/**
 * Gives the request an id: the `X-Request-Id` that came with it when that is up to 128 letters, digits, `_`, `.`, `:` and
 * `-`, else a new one. It is in `ctx.state.requestId`, in the answer's `X-Request-Id` and in every problem.
 *
 * Refuses nothing. `problems()` does the same, so only an application without it needs this.
 *
 * @example app.use(requestId());
 */
export function requestId(): Guard<{}, Identified> {
  return async function requestId(ctx, next) {
    requestIdOf(ctx);
    await next();
  };
}

/** The id of a request, given now if it has none yet. */
export function requestIdOf(ctx: ParameterizedContext): string {
  const known = ctx.state.requestId;
  if (typeof known === 'string') return known;
  const sent = ctx.get('X-Request-Id');
  const id = sane.test(sent) ? sent : randomUUID();
  ctx.state.requestId = id;
  ctx.set('X-Request-Id', id);
  return id;
}
