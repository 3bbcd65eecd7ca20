import { Readable } from 'node:stream';
import Router from '@koa/router';
import Joi from 'joi';
import Koa from 'koa';
import {
  authenticate,
  body,
  endpoint,
  idempotent,
  problems,
  type QuotaOptions,
  quota,
  type SharedOptions,
} from '../../lib/index.js';

/** What a handler of the metered application does, named in the request's body. */
export type Wish = {
  status?: number;
  wait?: string;
  size?: number;
  kind?: (typeof kinds)[number];
  /** The status that a middleware between two guards throws when the handler is done. */
  outside?: number;
};

const kinds = ['stream', 'text', 'throw', 'number', 'boolean', 'endless'] as const;

/** What cannot be sent as JSON. */
const endless: Record<string, unknown> = {};
endless.self = endless;

/** How often each handler has run, by the name of its route, in all processes together. */
export const runs = (connection: NonNullable<SharedOptions['connection']>) =>
  connection.collection<{ _id: string; count: number }>('handler_runs');

const gates = new Map<string, Promise<void>>();

/** Lets handlers that are told to wait for `name` go on. */
export function gate(name: string): () => void {
  let open = () => {};
  gates.set(name, new Promise((resolve) => (open = resolve)));
  return open;
}

/** Throws, when the handler is done, what the body wishes for. */
async function outside(ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void> {
  await next();
  const { outside } = (ctx.request as unknown as { body: Wish }).body;
  if (outside) ctx.throw(outside, 'as was wished');
}

/** Routes that are charged or idempotent, whose handlers do what the body wishes. */
export function meteredApp(
  shared: SharedOptions & { connection: NonNullable<SharedOptions['connection']> },
  options: QuotaOptions = {},
): Koa {
  const wishes = body(
    {},
    {
      status: Joi.number(),
      wait: Joi.string(),
      size: Joi.number(),
      kind: Joi.valid(...kinds),
      outside: Joi.number(),
    },
  );
  const handler = (name: string) => async (ctx: Koa.ParameterizedContext) => {
    const { status = 201, wait, size, kind } = (ctx.request as unknown as { body: Wish }).body;
    const found = await runs(shared.connection).findOneAndUpdate(
      { _id: name },
      { $inc: { count: 1 } },
      { upsert: true, returnDocument: 'after' },
    );
    if (wait) await gates.get(wait);
    if (kind === 'throw') ctx.throw(status, 'as was wished');
    ctx.status = status;
    ctx.set('Location', `/${name}/${found?.count}`);
    if (kind === 'text') ctx.body = 'as a text';
    else if (kind === 'stream') ctx.body = Readable.from(['a', 'b']);
    else if (kind === 'number') ctx.body = 42;
    else if (kind === 'boolean') ctx.body = true;
    else if (kind === 'endless') ctx.body = endless;
    else if (status === 204) ctx.body = null;
    else ctx.body = { run: found?.count, text: 'x'.repeat(size ?? 0) };
  };
  const router = new Router();
  const signedIn = authenticate(shared);
  router.post('/images', endpoint(signedIn, quota('images', options), wishes, handler('images')));
  router.post('/parsed', endpoint(wishes, signedIn, quota('images', options), handler('parsed')));
  router.post('/images/:id', endpoint(signedIn, quota('images', options), wishes, handler('image')));
  router.post('/several', endpoint(signedIn, quota({ images: 1, searches: 2 }), wishes, handler('several')));
  const brief = idempotent({ ...shared, window: 10 });
  const charged = [quota('images', options), handler('guarded')] as const;
  router.post('/guarded', endpoint(wishes, signedIn, brief, outside, ...charged));
  router.post(
    '/twice',
    endpoint(signedIn, quota('images', options), quota('searches'), wishes, handler('twice')),
  );
  router.post('/orders', endpoint(signedIn, idempotent(shared), wishes, handler('orders')));
  router.put('/orders', endpoint(signedIn, idempotent(shared), wishes, handler('orders')));
  const app = new Koa();
  app.use(problems()).use(router.routes());
  return app;
}
