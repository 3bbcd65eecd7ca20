import type { DefaultContext, Middleware, Next, ParameterizedContext } from 'koa';
import compose from 'koa-compose';
import type { ErrorCode } from '../errors.js';
import { guardsFollow, tellGuards } from '../runtime/connection.js';
import { composedOf, descriptionOf, partsOf } from './described.js';
import type { Guard } from './guard.js';

/** The last of an endpoint's middlewares: it finds in ctx what the guards before it have added. */
export type Handler<State, Ctx> = (
  ctx: ParameterizedContext<State, DefaultContext & Ctx>,
  next: Next,
) => unknown;

/**
 * Joins guards and a handler into one middleware. The handler's `ctx.state` is inferred from the guards, and a guard that
 * stands before what it needs does not compile: up to eight guards.
 *
 * @example router.post('/images', endpoint(authenticate(shared), organization(), quota('images'), generate));
 */
export function endpoint(handler: Handler<NoInfer<{}>, NoInfer<{}>>): Middleware;
export function endpoint<A1 = {}, C1 = {}>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  handler: Handler<NoInfer<A1>, NoInfer<C1>>,
): Middleware;
export function endpoint<A1 = {}, C1 = {}, A2 = {}, C2 = {}>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  m2: Guard<NoInfer<A1>, A2, C2>,
  handler: Handler<NoInfer<A1 & A2>, NoInfer<C1 & C2>>,
): Middleware;
export function endpoint<A1 = {}, C1 = {}, A2 = {}, C2 = {}, A3 = {}, C3 = {}>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  m2: Guard<NoInfer<A1>, A2, C2>,
  m3: Guard<NoInfer<A1 & A2>, A3, C3>,
  handler: Handler<NoInfer<A1 & A2 & A3>, NoInfer<C1 & C2 & C3>>,
): Middleware;
export function endpoint<A1 = {}, C1 = {}, A2 = {}, C2 = {}, A3 = {}, C3 = {}, A4 = {}, C4 = {}>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  m2: Guard<NoInfer<A1>, A2, C2>,
  m3: Guard<NoInfer<A1 & A2>, A3, C3>,
  m4: Guard<NoInfer<A1 & A2 & A3>, A4, C4>,
  handler: Handler<NoInfer<A1 & A2 & A3 & A4>, NoInfer<C1 & C2 & C3 & C4>>,
): Middleware;
export function endpoint<
  A1 = {},
  C1 = {},
  A2 = {},
  C2 = {},
  A3 = {},
  C3 = {},
  A4 = {},
  C4 = {},
  A5 = {},
  C5 = {},
>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  m2: Guard<NoInfer<A1>, A2, C2>,
  m3: Guard<NoInfer<A1 & A2>, A3, C3>,
  m4: Guard<NoInfer<A1 & A2 & A3>, A4, C4>,
  m5: Guard<NoInfer<A1 & A2 & A3 & A4>, A5, C5>,
  handler: Handler<NoInfer<A1 & A2 & A3 & A4 & A5>, NoInfer<C1 & C2 & C3 & C4 & C5>>,
): Middleware;
export function endpoint<
  A1 = {},
  C1 = {},
  A2 = {},
  C2 = {},
  A3 = {},
  C3 = {},
  A4 = {},
  C4 = {},
  A5 = {},
  C5 = {},
  A6 = {},
  C6 = {},
>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  m2: Guard<NoInfer<A1>, A2, C2>,
  m3: Guard<NoInfer<A1 & A2>, A3, C3>,
  m4: Guard<NoInfer<A1 & A2 & A3>, A4, C4>,
  m5: Guard<NoInfer<A1 & A2 & A3 & A4>, A5, C5>,
  m6: Guard<NoInfer<A1 & A2 & A3 & A4 & A5>, A6, C6>,
  handler: Handler<NoInfer<A1 & A2 & A3 & A4 & A5 & A6>, NoInfer<C1 & C2 & C3 & C4 & C5 & C6>>,
): Middleware;
export function endpoint<
  A1 = {},
  C1 = {},
  A2 = {},
  C2 = {},
  A3 = {},
  C3 = {},
  A4 = {},
  C4 = {},
  A5 = {},
  C5 = {},
  A6 = {},
  C6 = {},
  A7 = {},
  C7 = {},
>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  m2: Guard<NoInfer<A1>, A2, C2>,
  m3: Guard<NoInfer<A1 & A2>, A3, C3>,
  m4: Guard<NoInfer<A1 & A2 & A3>, A4, C4>,
  m5: Guard<NoInfer<A1 & A2 & A3 & A4>, A5, C5>,
  m6: Guard<NoInfer<A1 & A2 & A3 & A4 & A5>, A6, C6>,
  m7: Guard<NoInfer<A1 & A2 & A3 & A4 & A5 & A6>, A7, C7>,
  handler: Handler<NoInfer<A1 & A2 & A3 & A4 & A5 & A6 & A7>, NoInfer<C1 & C2 & C3 & C4 & C5 & C6 & C7>>,
): Middleware;
export function endpoint<
  A1 = {},
  C1 = {},
  A2 = {},
  C2 = {},
  A3 = {},
  C3 = {},
  A4 = {},
  C4 = {},
  A5 = {},
  C5 = {},
  A6 = {},
  C6 = {},
  A7 = {},
  C7 = {},
  A8 = {},
  C8 = {},
>(
  m1: Guard<NoInfer<{}>, A1, C1>,
  m2: Guard<NoInfer<A1>, A2, C2>,
  m3: Guard<NoInfer<A1 & A2>, A3, C3>,
  m4: Guard<NoInfer<A1 & A2 & A3>, A4, C4>,
  m5: Guard<NoInfer<A1 & A2 & A3 & A4>, A5, C5>,
  m6: Guard<NoInfer<A1 & A2 & A3 & A4 & A5>, A6, C6>,
  m7: Guard<NoInfer<A1 & A2 & A3 & A4 & A5 & A6>, A7, C7>,
  m8: Guard<NoInfer<A1 & A2 & A3 & A4 & A5 & A6 & A7>, A8, C8>,
  handler: Handler<
    NoInfer<A1 & A2 & A3 & A4 & A5 & A6 & A7 & A8>,
    NoInfer<C1 & C2 & C3 & C4 & C5 & C6 & C7 & C8>
  >,
): Middleware;
export function endpoint(...middlewares: Middleware[]): Middleware {
  const composed = compose(middlewares);
  const follow = middlewares.flatMap(partsOf).some(decides);
  const telling: Middleware = (ctx, next) => {
    const before = guardsFollow(ctx);
    if (follow === before) return composed(ctx, next);
    tellGuards(ctx, follow);
    return composed(ctx, () => {
      tellGuards(ctx, before); // what comes behind the endpoint, it knows nothing of
      return next();
    });
  };
  return composedOf(telling, middlewares);
}

/** What guards refuse with that decide by organizations, rights or plans, which a strict `authenticate()` reads for them. */
const decisions: readonly ErrorCode[] = [
  'not_found',
  'organization_required',
  'permission_missing',
  'entitlement_missing',
];

const decides = (part: object): boolean =>
  descriptionOf(part)?.refuses?.some((code) => decisions.includes(code)) ?? false;
