import { readFile } from 'node:fs/promises';
import Router from '@koa/router';
import Joi from 'joi';
import type { Middleware, ParameterizedContext } from 'koa';
import { refuse } from '../errors.js';
import { answers } from '../middleware/answers.js';
import { query } from '../middleware/query.js';
import { cookieName } from '../runtime/cookies.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { openapiDocument } from './openapi/document.js';
import type { RouterLike } from './openapi/routes.js';
import { contentSecurityPolicy, swaggerUiAssets, swaggerUiPage } from './openapi/swagger-ui.js';

export interface OpenapiOptions extends SharedOptions {
  /** The routers whose routes it tells of, ours and the application's own, with all their routes. */
  routers: readonly RouterLike[];
  /** What the application is called. */
  title: string;
  /** The version of its interface, such as `1.4.0`. */
  version: string;
  /** Stands before both: who may read them. Default: everybody. */
  guard?: Middleware | undefined;
  /** Whether there is `GET /docs`, which needs the package swagger-ui-dist. Default true. */
  docs?: boolean | undefined;
}

interface Own {
  readonly routers: readonly RouterLike[];
  readonly title: string;
  readonly version: string;
  readonly guard: Middleware;
  readonly docs: boolean;
}

const isRouter: Joi.CustomValidator = (router, helpers) =>
  Array.isArray(router?.stack) ? router : helpers.message({ custom: 'must be a router of @koa/router' });

const own = {
  routers: Joi.array().items(Joi.any().custom(isRouter)).min(1).required(),
  title: Joi.string().required(),
  version: Joi.string().required(),
  guard: Joi.function().default(() => (_ctx: unknown, next: () => Promise<unknown>) => next()),
  docs: Joi.boolean().default(true),
};

/**
 * `GET /openapi.json`, the OpenAPI 3.1 document of the routes that `routers` have when it is called, and `GET /docs`, Swagger UI, whose files
 * come from this server alone.
 *
 * Each route stands there with the path, the query and the body that it takes (by the Joi schemas of `query()` and `body()`), the credentials
 * and the refusals that its guards tell, and what `answers()` says. A route that is switched off is not in its router, and so not here.
 *
 * @throws {TypeError} also when the package swagger-ui-dist is missing, unless `docs` is false
 * @example app.use(openapiRouter({ routers: [auth, api], title: 'Acme', version: '1.0.0' }).routes());
 */
export function openapiRouter(options: OpenapiOptions): Router {
  const { routers, title, version, guard, docs, cookies } = readOptions<Own>('openapiRouter', options, own);
  const router = new Router();

  router.get('/openapi.json', guard, query({}), answers(200, { type: 'object' }), function openapi(ctx) {
    ctx.set('Cache-Control', 'no-cache');
    ctx.type = 'application/json';
    ctx.body = document;
  });
  if (docs) docsRoutes(router, guard, title);

  const names = {
    access: cookieName('access_token', cookies),
    refresh: cookieName('refresh_token', cookies),
  };
  const document = JSON.stringify(openapiDocument([...routers, router], { title, version, cookies: names }));
  return router;
}

function docsRoutes(router: Router, guard: Middleware, title: string): void {
  const assets = swaggerUiAssets();

  router.get('/docs', guard, answers(200, null), async function showDocs(ctx) {
    const behind = ctx.path.endsWith('/');
    harden(ctx);
    ctx.type = 'text/html';
    ctx.body = swaggerUiPage(title, {
      here: behind ? '' : 'docs/',
      spec: behind ? '../openapi.json' : 'openapi.json',
    });
  });

  router.get('/docs/:file', guard, answers(200, null, 'not_found'), async function showFile(ctx) {
    const asset = assets.get(ctx.params.file as string);
    if (!asset) throw refuse('not_found');
    harden(ctx);
    ctx.type = asset.type;
    ctx.body = asset.text ?? (await readFile(asset.file as string));
  });
}

function harden(ctx: ParameterizedContext): void {
  ctx.set({
    'Content-Security-Policy': contentSecurityPolicy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
  });
}
