import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import { betterAuth } from 'better-auth';
import { mongodbAdapter } from 'better-auth/adapters/mongodb';
import { fromNodeHeaders, toNodeHandler } from 'better-auth/node';
import { organization as organizations } from 'better-auth/plugins';
import Koa from 'koa';
import { MongoClient } from 'mongodb';
import {
  authenticate,
  authRouter,
  createUser,
  endpoint,
  organization,
  requirePermission,
  Sessions,
  type SignedIn,
} from '../dist/index.js';
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
    plugins: [organizations()],
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
  /** MongoDB commands of a request; `shared`: at least one, at most one for each request; `some`: at least one for each. */
  readonly commands: 0 | 'shared' | 'some';
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
      else if (commands === 'shared') ok(sent > 0 && sent <= requests, `${name}: ${sent} MongoDB commands`);
      else equal(sent, 0, `${name}: MongoDB commands`);
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
function ours(
  name: string,
  guards: Koa.Middleware,
  commands: Route['commands'],
  headers: Route['headers'],
): Variant {
  const router = new Router();
  router.get('/me', guards);
  return route({ name, path: '/me', mount: (app) => app.use(router.routes()), headers, commands });
}

function me(ctx: Koa.ParameterizedContext<SignedIn>): void {
  ctx.body = { user: ctx.state.user };
}

/** A route in Koa for whoever may change the organization, by the two calls of Better Auth that say so. */
function permitted(auth: ReturnType<typeof peer>, organizationId: string): (app: Koa) => unknown {
  return (app) =>
    app.use(async function mayUpdate(ctx) {
      const headers = fromNodeHeaders(ctx.req.headers);
      const session = await auth.api.getSession({ headers });
      const permissions = { organization: ['update' as const] };
      const { success } = await auth.api.hasPermission({ headers, body: { organizationId, permissions } });
      if (session && success) ctx.body = { user: session.user };
    });
}

for (const [collection, ...fields] of [
  ['user', 'email'],
  ['session', 'token'],
  ['account', 'userId'],
  ['member', 'userId', 'organizationId'],
] as const)
  await database.collection(collection).createIndex(Object.fromEntries(fields.map((field) => [field, 1]))); // it makes none itself
const theirs = { read: peer(false), cached: peer(true) };
await theirs.read.api.signUpEmail({ body: { ...person, name: 'Ada' } });

function bare(ctx: Koa.ParameterizedContext): void {
  ctx.body = { user: world.user };
}

async function everySession() {
  const tokens = await world.signInAgain(sessions);
  return {
    bearer: tokens.map((token) => ({ authorization: `Bearer ${token}` })),
    read: await cookiesOf(theirs.read, sessions),
    cached: await cookiesOf(theirs.cached, sessions),
  };
}

function printCosts(): void {
  console.log(`\nMongoDB commands per request:\n${costs.splice(0).join('\n')}\n`);
}

const parts = {
  async sessions() {
    const { bearer, read, cached } = await everySession();
    const getSession = { path: '/api/auth/get-session' };
    const strictly = authenticate({ ...world.shared, strict: true });
    const rows = await compare(
      [
        ours('bare route', bare, 0, bearer),
        ours('koa-tollgate', endpoint(authenticate(world.shared), me), 0, bearer),
        ours('koa-tollgate, strict', endpoint(strictly, me), 'shared', bearer),
        route({ name: 'Better Auth, cookie cache', ...getSession, mount: mounted(theirs.cached), headers: cached, commands: 0 }),
        route({ name: 'Better Auth', ...getSession, mount: mounted(theirs.read), headers: read, commands: 'some' }),
      ],
      { rounds: 15 },
    ); // biome-ignore format: a table
    print(rows);
    printCosts();
  },

  async permissions() {
    const { bearer, read, cached } = await everySession();
    const headers = new Headers(read[0]);
    const body = { name: 'Acme', slug: 'acme' };
    const made = await theirs.read.api.createOrganization({ body, headers });
    const mine = bearer.map((each) => ({ ...each, 'x-organization-id': world.organization.id }));
    const may = (strict: boolean) =>
      endpoint(
        authenticate({ ...world.shared, strict }),
        organization(),
        requirePermission('organization.manage'),
        me,
      );
    const peers = { path: '/me', commands: 'some' } as const;
    const rows = await compare(
      [
        ours('bare route', bare, 0, mine),
        ours('koa-tollgate', may(false), 0, mine),
        ours('koa-tollgate, strict', may(true), 'shared', mine),
        route({ ...peers, name: 'Better Auth, cookie cache', mount: permitted(theirs.cached, made.id), headers: cached }),
        route({ ...peers, name: 'Better Auth', mount: permitted(theirs.read, made.id), headers: read }),
      ],
      { rounds: 7 },
    ); // biome-ignore format: a table
    print(rows);
    printCosts();
  },

  async 'sign-ins'() {
    const atCost12 = { ...world.shared, passwordCost: 12 };
    for (const each of people) {
      await createUser({ ...atCost12, ...each, emailVerified: true });
      await theirs.read.api.signUpEmail({ body: { ...each, name: 'Somebody' } });
    }
    const notes: Meanwhile[] = [];
    const rows = await compare(
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
    );
    print(rows);
    printMeanwhile(notes);
  },
};

const wanted = process.argv.slice(2);
for (const [name, measure] of Object.entries(parts)) {
  if (wanted.length === 0 || wanted.includes(name)) await measure();
}
load.stop();
await client.close();
await world.stop();
