import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import {
  authenticate,
  endpoint,
  organization,
  quota,
  requireEntitlement,
  requireRole,
  type Subject,
} from '../dist/index.js';
import { LoadMaker } from './load.js';
import { compare, print, type Variant } from './runner.js';
import { makeWorld, untilWarm } from './world.js';

const requests = 2_000; // few, so that the turns of a round are close together
const world = await makeWorld();
const load = new LoadMaker();
const headers = { authorization: `Bearer ${world.token}` };
const who = authenticate(world.shared);
const role = requireRole('designer');

function answer(ctx: Koa.ParameterizedContext): void {
  ctx.body = { ok: true };
}

const costs: string[] = [];
let used = 0; // units, as the database had it after the last run

interface Cost {
  /** MongoDB commands of a request; `shared`: at least one, at most one for each request. */
  readonly commands?: 0 | 1 | 'shared';
  /** Units of the quota that a request takes. */
  readonly units?: 0 | 1;
}

/** A route behind `guards`; what a request may cost is asserted. */
function guarded(name: string, guards: Koa.Middleware, { commands = 0, units = 0 }: Cost = {}): Variant {
  const start = async () => {
    const router = new Router();
    router.get('/images', guards);
    const server = new Koa().use(router.routes()).listen(0, '127.0.0.1');
    server.keepAliveTimeout = 0; // a variant's connections wait while the others run
    await once(server, 'listening');
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const send = (requests: number) => load.send({ origin, path: '/images', headers, requests });

    await untilWarm(world, commands === 0 ? 0 : subjects.length, () => send(subjects.length));
    used = await world.used();
    let answers = {};
    let sent = 0;

    const run = async () => {
      const before = world.commands();
      answers = await send(requests);
      sent = world.commands() - before;
      return requests;
    };
    const check = async () => {
      const before = used;
      used = await world.used();
      deepEqual(answers, { 200: requests }, `${name}: every request is answered with 200`);
      equal(used - before, requests * units, `${name}: units used, as the database has it`);
      if (commands === 'shared') ok(sent > 0 && sent <= requests, `${name}: ${sent} MongoDB commands`);
      else equal(sent, requests * commands, `${name}: MongoDB commands`);
    };
    const stop = () => {
      costs.push(`${name}: ${sent / requests}`);
      server.close();
      server.closeAllConnections();
    };
    return { run, check, stop };
  };
  return { name, start };
}

/** So many counters that no two requests under way meet at one. */
const subjects = Array.from({ length: 500 }, (_, index) => ({ type: 'user', id: `user-${index}` }) as const);
let turn = 0;
const anySubject = () => subjects[turn++ % subjects.length] as Subject;

/** The peer of quota(): a counter without a limit, incremented as durably. */
async function countByHand(ctx: Koa.ParameterizedContext): Promise<void> {
  const counters = world.shared.connection.collection<{ _id: { s: string; f: string } }>('tollgate_usage');
  const counter = { _id: { s: `by hand ${anySubject().id}`, f: 'images' } };
  await counters.updateOne(counter, { $inc: { u: 1 } }, { upsert: true, writeConcern: { w: 'majority' } });
  answer(ctx);
}

const rows = await compare(
  [
    guarded('bare route', endpoint(answer)),
    guarded('authenticate', endpoint(who, answer)),
    guarded(
      'authenticate, requireRole, requireEntitlement',
      endpoint(who, role, requireEntitlement('reports'), answer),
    ),
    guarded(
      'authenticate, organization, requireRole, requireEntitlement',
      endpoint(who, organization(), role, requireEntitlement('reports'), answer),
    ),
    guarded('authenticate, quota, one counter', endpoint(who, quota('images'), answer), {
      commands: 'shared',
      units: 1,
    }),
    guarded(
      'authenticate, quota, 500 counters',
      endpoint(who, quota('images', { subject: anySubject }), answer),
      { commands: 'shared', units: 1 },
    ),
    guarded('authenticate, updateOne by hand, 500 counters', endpoint(who, countByHand), {
      commands: 1,
      units: 1,
    }),
  ],
  { rounds: 15 },
);
print(rows);
console.log(`\nMongoDB commands per request:\n${costs.join('\n')}`);
load.stop();
await world.stop();
