import { createHash } from 'node:crypto';
import Joi from 'joi';
import type { Middleware, ParameterizedContext } from 'koa';
import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import { refuse } from '../errors.js';
import { clientAddress, networkOf } from '../runtime/client-address.js';
import { connectionOf } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import { type ReadSharedOptions, readOptions, type SharedOptions } from '../runtime/options.js';
import { subjectKey } from '../runtime/subject.js';
import type { SignedIn } from './authenticate.js';
import { type Description, described } from './described.js';
import type { Guard } from './guard.js';
import { limiterOf } from './rate-limiter.js';
import { subjectOf } from './subject-of.js';

export interface RateLimitOptions extends SharedOptions {
  /** How many requests each may send in a window. */
  points: number;
  /** The length of a window; a number is seconds, 2,000,000 at most. It begins with the first request. */
  per: 'second' | 'minute' | 'hour' | 'day' | number;
  /**
   * Who has a limit of their own: each client address (the default; of IPv6 each /64), each user, each organization, or whoever the
   * function names.
   */
  by?:
    | 'address'
    | 'user'
    | 'organization'
    | ((ctx: ParameterizedContext) => string | Promise<string>)
    | undefined;
  /** Limits of one name, `points` and `per` are one. Default: the path of the route or router where it stands. */
  name?: string | undefined;
  /**
   * Default: Redis where the options name one, else MongoDB. `'memory'`: each process for itself. `'none'`: no limit. Or a limiter of
   * rate-limiter-flexible with the same points and duration.
   */
  store?: 'memory' | 'none' | RateLimiterAbstract | undefined;
}

interface Own {
  readonly points: number;
  readonly per: RateLimitOptions['per'];
  readonly by: NonNullable<RateLimitOptions['by']>;
  readonly name: string | undefined;
  readonly store: RateLimitOptions['store'];
}

const units = { second: 1, minute: 60, hour: 3_600, day: 86_400 } as const;
const secondsOf = (per: Own['per']): number => (typeof per === 'number' ? per : units[per]);

/** A limiter of the application's own must count what the headers say. */
const sameLimit: Joi.CustomValidator = (store: RateLimiterAbstract, helpers) => {
  const { points, per } = helpers.state.ancestors[0] as Own;
  if (typeof store?.consume !== 'function')
    return helpers.message({ custom: "must be 'memory', 'none' or a limiter of rate-limiter-flexible" });
  if (store.points === points && store.duration === secondsOf(per)) return store;
  return helpers.message({ custom: 'must have the points and the duration that points and per say' });
};

const own = {
  points: Joi.number().integer().min(1).max(1_000_000_000).required(),
  per: Joi.alternatives(Joi.valid(...Object.keys(units)), Joi.number().integer().min(1).max(2_000_000)).required(), // biome-ignore format: a chain
  by: Joi.alternatives(Joi.valid('address', 'user', 'organization'), Joi.function()).default('address'),
  name: Joi.string()
    .max(100)
    .pattern(/^[ !#-[\]-~]+$/),
  store: Joi.when(Joi.valid('memory', 'none'), { otherwise: Joi.any().custom(sameLimit) }),
};

/**
 * Lets so many requests through in a window of time, for each client address or whoever `by` says, in all processes together.
 * Answers say where the client stands, in the headers `RateLimit-Policy` and `RateLimit`. It costs at most one round trip, and
 * none while somebody is refused.
 *
 * Without Redis, or when it gives no answer within half a second, MongoDB counts; without either nobody is let through.
 *
 * Refuses with 429 `rate_limited` (with `Retry-After`, in seconds); 503 `database_unavailable`; by user or organization also 401
 * `token_missing`, 400 `organization_required`.
 *
 * @example router.post('/contact', rateLimit({ points: 5, per: 'minute' }), send);
 */
export function rateLimit(options: RateLimitOptions & { by: 'user' | 'organization' }): Guard<SignedIn>;
export function rateLimit(options: RateLimitOptions): Guard;
export function rateLimit(options: RateLimitOptions): Middleware {
  const read = readOptions<Own>('rateLimit', options, own);
  const { points, by, store } = read;
  const seconds = secondsOf(read.per);
  const limiter = limiterOf({ ...read, seconds });

  const told: Description = {
    refuses:
      by === 'address' || typeof by === 'function' ? ['rate_limited'] : ['rate_limited', 'token_missing'],
  };

  return described(told, async function rateLimit(ctx, next) {
    if (store === 'none') return next();
    const name = read.name ?? placeOf(ctx);
    const key = `${name} ${points}/${seconds} ${await keyOf(ctx, by, read)}`;
    const connection = connectionOf(ctx, read.connection);
    const { allowed, remaining, secondsLeft } = await database(() => limiter(connection).consume(key));
    if (!allowed) throw refuse('rate_limited', { headers: { 'Retry-After': String(secondsLeft) } });
    ctx.append('RateLimit-Policy', `"${name}";q=${points};w=${seconds}`);
    ctx.append('RateLimit', `"${name}";r=${remaining};t=${secondsLeft}`);
    await next();
  });
}

/** The path of the route or router, as it is written there: the same in every process, and nothing that a client chooses. */
function placeOf({ routerPath }: ParameterizedContext & { routerPath?: unknown }): string {
  return encodeURI(String(routerPath ?? 'default')).slice(0, 100);
}

async function keyOf(ctx: ParameterizedContext, by: Own['by'], read: ReadSharedOptions): Promise<string> {
  if (typeof by === 'function') return `by ${digest(await by(ctx))}`;
  if (by !== 'address') return subjectKey(await subjectOf(ctx, by));
  const address = clientAddress(ctx, read.trustedProxies);
  return `address ${address ? networkOf(address, 32, 64) : 'none'}`;
}

/** Whatever the application tells clients by, maybe an API key or an e-mail address, no dump of the database shows it. */
function digest(text: unknown): string {
  if (typeof text === 'string' && text !== '') return createHash('sha256').update(text).digest('base64url');
  throw refuse('internal', { detail: 'The function by of rateLimit() must give a text that is not empty' });
}
