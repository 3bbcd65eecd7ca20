import { LRUCache } from 'lru-cache';
import type { Connection } from 'mongoose';
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterMongo,
  RateLimiterRedis,
  RateLimiterRes,
  RLWrapperTimeouts,
} from 'rate-limiter-flexible';
import { RateLimits } from '../models/rate-limit.js';
import type { ReadSharedOptions } from '../runtime/options.js';
import { perConnection } from '../runtime/per-connection.js';
import { redisOf } from '../runtime/redis.js';

/** What a limit allows, and where it is counted. */
export interface Limit extends ReadSharedOptions {
  readonly points: number;
  readonly seconds: number;
  readonly store: 'memory' | 'none' | RateLimiterAbstract | undefined;
}

export interface Verdict {
  readonly allowed: boolean;
  readonly remaining: number;
  /** Seconds until the window ends. */
  readonly secondsLeft: number;
}

/** Milliseconds that Redis may take before MongoDB is asked. */
const patience = 500;

/**
 * The one limiter of each connection. It remembers whom it has refused until their window ends, so that a flood costs the database
 * nothing.
 */
export const limiterOf = (limit: Limit) =>
  perConnection((connection) => {
    const store = storeOf(limit, connection);
    const refused = new LRUCache<string, true>({ max: 10_000 });
    return {
      async consume(key: string): Promise<Verdict> {
        if (refused.has(key)) return verdict(false, 0, refused.getRemainingTTL(key));
        try {
          const { remainingPoints, msBeforeNext } = await store.consume(key);
          return verdict(true, remainingPoints, msBeforeNext);
        } catch (answer) {
          if (!isAnswer(answer)) throw answer;
          if (!limit.store) refused.set(key, true, { ttl: Math.max(1, answer.msBeforeNext) });
          return verdict(false, 0, answer.msBeforeNext);
        }
      },
    };
  });

const verdict = (allowed: boolean, remaining: number, left: number): Verdict => ({
  allowed,
  remaining,
  secondsLeft: Math.max(1, Math.ceil(left / 1_000)),
});

/** Refusals are thrown too; by shape, as the application's own limiter may be of another copy of the package. */
const isAnswer = (thrown: unknown): thrown is RateLimiterRes =>
  thrown instanceof RateLimiterRes || (!(thrown instanceof Error) && Number.isFinite((thrown as RateLimiterRes | undefined)?.msBeforeNext)); // biome-ignore format: a condition

function storeOf(limit: Limit, connection: Connection): RateLimiterAbstract {
  const { points, seconds: duration, store } = limit;
  if (typeof store === 'object') return store;
  if (store) return new RateLimiterMemory({ points, duration, keyPrefix: '' });
  const redis = redisOf(connection, limit);
  const { collectionName: tableName } = RateLimits(connection).collection;
  const mongo = new RateLimiterMongo({ storeClient: connection, tableName, keyPrefix: '', points, duration, disableIndexesCreation: true }); // biome-ignore format: settings
  if (!redis) return mongo;
  const inRedis = new RateLimiterRedis({
    storeClient: redis,
    rejectIfRedisNotReady: true,
    keyPrefix: `${limit.redisPrefix}rate-limit`,
    points,
    duration,
  });
  return new RLWrapperTimeouts({ limiter: inRedis, timeoutMs: patience, insuranceLimiter: mongo });
}
