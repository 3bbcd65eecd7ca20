import Router from '@koa/router';
import Joi from 'joi';
import type { Next, ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { answers } from '../middleware/answers.js';
import { described } from '../middleware/described.js';
import { connectionOf } from '../runtime/connection.js';
import { database, inTime } from '../runtime/database.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { missingIndexes } from '../services/ready.js';
import { healthResource } from './resources.js';

/** A check passes by resolving within 1.5 s and fails by rejecting; what it rejects with is not shown. */
export interface HealthCheck {
  readonly check: () => Promise<unknown>;
  /** True: its failure makes the answer 503. Default false. */
  readonly critical?: boolean | undefined;
}

export interface HealthOptions extends SharedOptions {
  /** The application's own checks, by name; they are part of `/health` and `/health/ready`. */
  checks?: Readonly<Record<string, HealthCheck>> | undefined;
}

interface Result {
  readonly status: 'healthy' | 'unhealthy';
  readonly critical: boolean;
  readonly latencyMs: number;
}

/**
 * `GET /health`, `/health/live` and `/health/ready`: `{ status: 'healthy' | 'degraded' | 'unhealthy', checks }`, 503 only
 * where a critical check fails: that is the same JSON and no problem, for it says which checks do. The check `mongodb` is built in. Live says that the process answers; ready, that MongoDB does and the unique indexes exist.
 *
 * @example app.use(healthRouter({ connection }).routes());
 */
export function healthRouter(options: HealthOptions = {}): Router {
  const one = Joi.object({ check: Joi.function().required(), critical: Joi.boolean() });
  const own = { checks: Joi.object().pattern(Joi.string().invalid('mongodb'), one).default({}) };
  const { checks, connection: given } = readOptions<{ checks: Record<string, HealthCheck> }>(
    'healthRouter',
    options,
    own,
  );
  const router = new Router({ prefix: '/health' });

  router.get('/live', answers(200, healthResource), function live(ctx) {
    ctx.body = { status: 'healthy', checks: {} };
  });
  router.get(['/', '/ready'], answers(200, healthResource), unhealthy, async function ready(ctx) {
    await answer(ctx, { ...checks, mongodb: mongodb(connectionOf(ctx, given)) });
  });

  return router;
}

/** For the document of `openapiRouter()`: what comes with 503 is no problem details. */
const unhealthy = described(
  { answers: { status: 503, schema: healthResource } },
  (_ctx: unknown, next: Next) => next(),
);

const mongodb = (connection: Connection): HealthCheck => ({
  critical: true,
  check: () =>
    database(async () => {
      await connection.db?.command({ ping: 1 });
      const missing = await missingIndexes(connection);
      if (missing.length > 0) throw new Error(`missing: ${missing.join(', ')}`);
    }),
});

async function answer(ctx: ParameterizedContext, checks: Record<string, HealthCheck>): Promise<void> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await run(ctx, name, check)] as const),
  );
  const failed = results.filter(([, { status }]) => status === 'unhealthy');
  const critical = failed.some(([, result]) => result.critical);
  ctx.status = critical ? 503 : 200;
  if (critical) ctx.set('Retry-After', '1');
  ctx.set('Cache-Control', 'no-store');
  const status = critical ? 'unhealthy' : failed.length > 0 ? 'degraded' : 'healthy';
  ctx.body = { status, checks: Object.fromEntries(results) };
}

async function run(
  ctx: ParameterizedContext,
  name: string,
  { check, critical = false }: HealthCheck,
): Promise<Result> {
  const began = performance.now();
  const latency = () => Math.round(performance.now() - began);
  try {
    await inTime(
      async () => check(),
      () => new Error('no answer in time'),
    );
    return { status: 'healthy', critical, latencyMs: latency() };
  } catch (cause) {
    ctx.app.emit('error', new Error(`The health check ${name} has failed`, { cause }), ctx); // the answer does not say why
    return { status: 'unhealthy', critical, latencyMs: latency() };
  }
}
