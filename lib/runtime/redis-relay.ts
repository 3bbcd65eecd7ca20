import type { Connection } from 'mongoose';
import { changeFeed } from './change-feed.js';
import { perConnection } from './per-connection.js';
import { type RedisClient, type RedisOptions, redisOf } from './redis.js';

type Route = RedisOptions & { readonly redisPrefix: string };

interface Link {
  tell(subjects: readonly string[]): void;
  close(): void;
}

/**
 * Carries what transactions change to other processes through Redis, where that is configured: sooner than the change stream,
 * which alone decides whether memory may be believed. A message is only a hint to forget, so one that is lost, late or forged
 * opens no door.
 */
export const changeRelay = perConnection((connection) => {
  const routes = new Map<RedisClient | string, Route>();
  const links = new Map<RedisClient | string, Link>();
  const open = () => {
    for (const [place, route] of routes)
      if (!links.has(place)) links.set(place, linkOf(connection, route, redisOf(connection, route)));
  };
  connection.on('connected', open); // not before: the channel has the name of the database
  connection.on('close', () => {
    for (const link of links.values()) link.close();
    links.clear();
  });
  return {
    /** From now on through this Redis too. */
    through(route: Route): void {
      const place = route.redis ?? route.redisUrl;
      if (place === undefined || routes.has(place)) return;
      routes.set(place, route);
      if (connection.readyState === 1) open();
    },
    tell(subjects: readonly string[]): void {
      for (const link of links.values()) link.tell(subjects);
    },
  };
});

const nowhere: Link = { tell() {}, close() {} };

function linkOf(connection: Connection, { redisPrefix }: Route, redis: RedisClient | undefined): Link {
  if (!redis) return nowhere;
  const channel = `${redisPrefix}changes:${connection.name}`;
  const listener = listenerOf(redis);
  const hear = (_: string, text: string) => {
    for (const subject of subjectsIn(text)) changeFeed(connection).announce(subject);
  };
  const listen = () => void listener.subscribe(channel).catch(() => {});
  const close = () => {
    listener.disconnect();
    redis.off('ready', listen).off('end', close);
  };
  listener.on('message', hear);
  redis.on('ready', listen).on('end', close);
  if (redis.status === 'ready') listen();
  return {
    tell(subjects) {
      if (redis.status === 'ready') redis.publish(channel, JSON.stringify(subjects)).catch(() => {});
    },
    close,
  };
}

/** A client that listens can do nothing else, hence a second one; it waits for Redis as long as that takes. */
function listenerOf(redis: RedisClient): RedisClient {
  const patient = { enableOfflineQueue: true, maxRetriesPerRequest: null, commandTimeout: undefined };
  const listener = redis.duplicate({ ...patient, lazyConnect: true, autoResubscribe: true });
  return listener.on('error', () => {});
}

function subjectsIn(text: string): string[] {
  try {
    const said: unknown = JSON.parse(text);
    return Array.isArray(said) ? said.filter((subject) => typeof subject === 'string') : [];
  } catch {
    return [];
  }
}
