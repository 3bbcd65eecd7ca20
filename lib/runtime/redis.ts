import { createRequire } from 'node:module';
import type { Connection } from 'mongoose';
import { perConnection } from './per-connection.js';

/** What is used of a client of ioredis, 5 or later; one of a cluster is not taken. */
export interface RedisClient {
  readonly status: string;
  on(event: 'message', listener: (channel: string, message: string) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  on(event: 'ready' | 'end', listener: () => void): this;
  off(event: 'ready' | 'end', listener: () => void): this;
  publish(channel: string, message: string): Promise<number>;
  subscribe(...channels: string[]): Promise<unknown>;
  disconnect(): void;
  duplicate(options?: Readonly<Record<string, unknown>>): RedisClient;
}

/** Where Redis is, among the shared options. */
export interface RedisOptions {
  readonly redis?: RedisClient | undefined;
  readonly redisUrl?: string | undefined;
}

export function isRedisClient(value: unknown): value is RedisClient {
  const { status, duplicate, isCluster } = (value ?? {}) as Partial<RedisClient> & { isCluster?: boolean };
  return typeof status === 'string' && typeof duplicate === 'function' && !isCluster;
}

/**
 * The application's own client, else one of ours for `redisUrl`: made once a connection, and closed with that. Undefined where
 * no Redis is configured.
 */
export function redisOf(connection: Connection, { redis, redisUrl }: RedisOptions): RedisClient | undefined {
  return redis ?? (redisUrl === undefined ? undefined : own(connection)(redisUrl));
}

const own = perConnection((connection) => {
  const clients = new Map<string, RedisClient>();
  connection.on('close', () => {
    for (const client of clients.values()) client.disconnect();
    clients.clear();
  });
  return (url: string) => {
    const client = clients.get(url) ?? connect(url);
    clients.set(url, client);
    return client;
  };
});

/** Without a queue a command fails at once while Redis is away, and whoever sent it does without. */
function connect(url: string): RedisClient {
  const { Redis } = ioredis();
  const client = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 1_000,
  });
  client.on('error', () => {}); // it connects again by itself
  return client;
}

function ioredis(): typeof import('ioredis') {
  try {
    return createRequire(import.meta.url)('ioredis');
  } catch (cause) {
    throw new TypeError('The option redisUrl needs the package ioredis: npm install ioredis', { cause });
  }
}
