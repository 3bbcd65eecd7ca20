import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import { authenticate, endpoint, quota, shutDown } from '../dist/index.js';
import { LoadMaker } from './load.js';
import { compare, print, type Variant } from './runner.js';
import { makeWorld, untilWarm } from './world.js';

const requests = 4_000;
const connections = 128;

/** What a quota costs a route, of one counter that all requests use. */
export async function throughKoa(): Promise<void> {
  const world = await makeWorld();
  const load = new LoadMaker();
  const headers = { authorization: `Bearer ${world.token}` };
  const who = authenticate(world.shared);
  const answer = (ctx: Koa.ParameterizedContext) => {
    ctx.body = { ok: true };
  };

  /** What a quota says of itself, without the quota. */
  const headed: Koa.Middleware = (ctx, next) => {
    ctx.append('RateLimit-Policy', '"images";q=1000000000;w=2592000');
    ctx.append('RateLimit', '"images";r=999999999;t=777777');
    return next();
  };

  let used = 0; // of the counter that all variants share

  const guarded = (name: string, guards: Koa.Middleware, units: 0 | 1): Variant => ({
    name,
    async start() {
      const router = new Router();
      router.get('/images', guards);
      const server = new Koa().use(router.routes()).listen(0, '127.0.0.1');
      server.keepAliveTimeout = 0;
      await once(server, 'listening');
      const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const send = (count: number) =>
        load.send({ origin, path: '/images', headers, requests: count, connections });
      await untilWarm(world, units ? 200 : 0, () => send(200));
      await shutDown(world.shared);
      used = await world.used();
      let answers = {};
      const run = async () => {
        answers = await send(requests);
        return requests;
      };
      const check = async () => {
        deepEqual(answers, { 200: requests }, `${name}: every request is answered with 200`);
        await shutDown(world.shared);
        const before = used;
        used = await world.used();
        equal(used - before, requests * units, `${name}: units`);
      };
      const stop = () => {
        server.close();
        server.closeAllConnections();
      };
      return { run, check, stop };
    },
  });

  console.log(`\n### through Koa, ${connections} connections\n`);
  print(
    await compare(
      [
        guarded('authenticate', endpoint(who, answer), 0),
        guarded('authenticate, the two headers', endpoint(who, headed, answer), 0),
        guarded('authenticate, quota', endpoint(who, quota('images'), answer), 1),
        guarded(
          'authenticate, quota with lease 1,000',
          endpoint(who, quota('images', { lease: 1_000 }), answer),
          1,
        ),
      ],
      { rounds: 9 },
    ),
  );
  load.stop();
  await world.stop();
}
