import type { DefaultContext, Middleware } from 'koa';

declare const flow: unique symbol;

/** A Koa middleware that tells the compiler what it needs of `ctx.state` and what it adds. Types only. */
export interface Guard<Needs = {}, Adds = {}, Ctx = {}>
  extends Middleware<Needs & Adds, DefaultContext & Ctx> {
  readonly [flow]?: ((needs: Needs) => [Adds, Ctx]) | undefined;
}
