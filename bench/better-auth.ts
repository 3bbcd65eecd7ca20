import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import { betterAuth } from 'better-auth';
import { mongodbAdapter } from 'better-auth/adapters/mongodb';
import { toNodeHandler } from 'better-auth/node';
import Koa from 'koa';
import { MongoClient } from 'mongodb';
import { authenticate, authRouter, createUser, endpoint, Sessions, type SignedIn } from '../dist/index.js';
import { LoadMaker } from './load.js';
import { compare, print, type Variant } from './runner.js';
import { type Meanwhile, people, printMeanwhile, signIns } from './sign-ins.js';
import { countCommands, makeWorld, person, untilWarm } from './world.js';

const requests = 1_000;
const sessions = 192; // three for each connection: no two requests under way are of one session
const world = await makeWorld({ passwordCost: 10 });
const { connection } = world.shared;
const client = await new MongoClient(world.uri, { monitorCommands: true }).connect();
const database = client.db(world.dbName);
const theirCommands = countCommands(client);
const commandsOf = () => world.commands() + theirCommands();
const load = new LoadMaker();

/** Better Auth on the same database; with `cached` a signed cookie holds the session, too. */
function peer(cached: boolean) {
  return betterAuth({
    baseURL: 'http://127.0.0.1',
    secret: world.secret,
    database: mongodbAdapter(database, { client }),
    emailAndPassword: { enabled: true },
    session: { cookieCache: { enabled: cached, maxAge: 3_600 } },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
  });
}

/** Better Auth's routes in a Koa application, by its handler for Node. */
function mounted(auth: ReturnType<typeof peer>): (app: Koa) => unknown {
  const handle = toNodeHandler(auth);
  return (app) =>
    app.use(async function betterAuth(ctx) {
      ctx.respond = false;
      await handle(ctx.req, ctx.res);
    });
}

/** Cookies of new sessions of Better Auth's user, as a browser sends them back. */
async function cookiesOf(auth: ReturnType<typeof peer>, count: number): Promise<Record<string, string>[]> {
  const all: Record<string, string>[] = [];
  while (all.length < count) {
    const answer = await auth.api.signInEmail({ body: person, asResponse: true });
    equal(answer.status, 200);
    all.push({ cookie: answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ') }); // biome-ignore format: a chain
  }
  return all;
}

interface Route {
  readonly name: string;
  readonly path: string;
  readonly mount: (app: Koa) => unknown;
  readonly headers: readonly Record<string, string>[];
  /** MongoDB commands of a request. */
  readonly commands: number | 'some';
}

const costs: string[] = [];

function route({ name, path, mount, headers, commands }: Route): Variant {
  const start = async () => {
    const app = new Koa();
    mount(app);
    const server = app.listen(0, '127.0.0.1');
    server.keepAliveTimeout = 0; // a variant's connections wait while the others run
    await once(server, 'listening');
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const send = (requests: number) =>
      load.send({ origin, path, headers, requests, containing: person.email });
    if (commands === 0) await untilWarm({ commands: commandsOf }, 0, () => send(sessions));
    let answers = {};
    let sent = 0;

    const run = async () => {
      const before = commandsOf();
      answers = await send(requests);
      sent = commandsOf() - before;
      return requests;
    };
    const check = async () => {
      deepEqual(answers, { 200: requests }, `${name}: every request is answered with the user`);
      if (commands === 'some') ok(sent >= requests, `${name}: ${sent} MongoDB commands`);
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

/** A route of ours behind `guards`. */
function ours(name: string, guards: Koa.Middleware, commands: number, headers: Route['headers']): Variant {
  const router = new Router();
  router.get('/me', guards);
  return route({ name, path: '/me', mount: (app) => app.use(router.routes()), headers, commands });
}

function me(ctx: Koa.ParameterizedContext<SignedIn>): void {
  ctx.body = { user: ctx.state.user };
}

for (const [collection, field] of [
  ['user', 'email'],
  ['session', 'token'],
  ['account', 'userId'],
] as const)
  await database.collection(collection).createIndex({ [field]: 1 }); // it makes none itself // biome-ignore format: a list
const theirs = { read: peer(false), cached: peer(true) };
await theirs.read.api.signUpEmail({ body: { ...person, name: 'Ada' } });
const tokens = await world.signInAgain(sessions);
const bearer = tokens.map((token) => ({ authorization: `Bearer ${token}` }));
const [readCookies, cachedCookies] = [
  await cookiesOf(theirs.read, sessions),
  await cookiesOf(theirs.cached, sessions),
];
const getSession = { path: '/api/auth/get-session' };

function bare(ctx: Koa.ParameterizedContext): void {
  ctx.body = { user: world.user };
}

print(
  await compare(
    [
      ours('bare route', bare, 0, bearer),
      ours('koa-tollgate', endpoint(authenticate(world.shared), me), 0, bearer),
      ours('koa-tollgate, strict', endpoint(authenticate({ ...world.shared, strict: true }), me), 1, bearer),
      route({ name: 'Better Auth, cookie cache', ...getSession, mount: mounted(theirs.cached), headers: cachedCookies, commands: 0 }),
      route({ name: 'Better Auth', ...getSession, mount: mounted(theirs.read), headers: readCookies, commands: 'some' }),
    ],
    { rounds: 15 },
  ),
); // biome-ignore format: a table
console.log(`\nMongoDB commands per request:\n${costs.join('\n')}\n`);

const atCost12 = { ...world.shared, passwordCost: 12 };
for (const each of people) {
  await createUser({ ...atCost12, ...each, emailVerified: true });
  await theirs.read.api.signUpEmail({ body: { ...each, name: 'Somebody' } });
}
const notes: Meanwhile[] = [];
print(
  await compare(
    [
      signIns(
        {
          name: 'Better Auth, scrypt',
          mount: mounted(theirs.read),
          path: '/api/auth/sign-in/email',
          sessions: () => database.collection('session').countDocuments(),
        },
        load,
        notes,
      ),
      signIns(
        {
          name: 'koa-tollgate, bcrypt at cost 12',
          mount: (app) => app.use(authRouter(atCost12).routes()),
          path: '/auth/sign-in',
          sessions: () => Sessions(connection).countDocuments(),
        },
        load,
        notes,
      ),
    ],
    { rounds: 7 },
  ),
);
printMeanwhile(notes);
load.stop();
await client.close();
await world.stop();
