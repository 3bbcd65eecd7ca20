import { deepEqual, ok } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import {
  authenticate,
  endpoint,
  Memberships,
  Organizations,
  organization,
  requirePermission,
} from '../dist/index.js';
import { LoadMaker } from './load.js';
import { compare, print, type Variant } from './runner.js';
import { makeWorld, untilWarm } from './world.js';

const requests = 1_000;
const sessions = 192; // three for each connection: no two requests under way are of one session
const world = await makeWorld({ passwordCost: 10 });
const { connection } = world.shared;
const load = new LoadMaker();
const tokens = await world.signInAgain(sessions);
const headers = tokens.map((token) => ({
  authorization: `Bearer ${token}`,
  'x-organization-id': world.organization.id,
}));

function answer(ctx: Koa.ParameterizedContext): void {
  ctx.body = { ok: true };
}

/** A route behind `guards`, whose requests send no command to MongoDB, or share some. */
function guarded(name: string, guards: Koa.Middleware, commands: 0 | 'shared'): Variant {
  const start = async () => {
    const router = new Router();
    router.get('/projects', guards);
    const server = new Koa().use(router.routes()).listen(0, '127.0.0.1');
    server.keepAliveTimeout = 0; // a variant's connections wait while the others run
    await once(server, 'listening');
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const send = (requests: number) => load.send({ origin, path: '/projects', headers, requests });
    await untilWarm(world, commands === 0 ? 0 : sessions, () => send(sessions));
    let answers = {};
    let sent = 0;

    const run = async () => {
      const before = world.commands();
      answers = await send(requests);
      sent = world.commands() - before;
      return requests;
    };
    const check = async () => {
      deepEqual(answers, { 200: requests }, `${name}: every request is answered with 200`);
      const isWanted = commands === 0 ? sent === 0 : sent > 0 && sent <= requests;
      ok(isWanted, `${name}: ${sent} MongoDB commands`);
    };
    const stop = () => {
      server.close();
      server.closeAllConnections();
    };
    return { run, check, stop };
  };
  return { name, start };
}

/** A route for whoever may write projects in the organization that the request names. */
const route = (strict: boolean) =>
  endpoint(
    authenticate({ ...world.shared, strict }),
    organization(),
    requirePermission('organization.manage'),
    answer,
  );

/** Fills the database up to `count` organizations, of each of which the user is no member. */
async function fill(count: number): Promise<void> {
  for (let there = await Organizations(connection).countDocuments(); there < count; ) {
    const size = Math.min(5_000, count - there);
    const names = Array.from({ length: size }, (_, index) => `other-${there + index}`);
    const made = await Organizations(connection).insertMany(
      names.map((slug) => ({ name: slug, slug, owners: 1, members: 1 })),
    );
    await Memberships(connection).insertMany(
      made.map(({ _id }) => ({ organization: _id, user: _id, role: 'owner', teams: [] })),
    );
    there += size;
  }
}

for (const count of [10, 100_000]) {
  await fill(count);
  console.log(`\nWith ${count} organizations:\n`);
  print(
    await compare(
      [
        guarded('bare route', endpoint(answer), 0),
        guarded('session, organization, permission', route(false), 0),
        guarded('session, organization, permission, strict', route(true), 'shared'),
      ],
      { rounds: 15 },
    ),
  );
}
load.stop();
await world.stop();
