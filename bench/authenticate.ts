import { equal } from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import jwt from 'jsonwebtoken';
import Koa from 'koa';
import { authenticate, type SignedIn } from '../dist/index.js';
import { compare, eachRound, median, print, type Row, type Variant } from './runner.js';
import { makeWorld, untilWarm, type World } from './world.js';

const app = new Koa();
const socket = new Socket(); // kept alive, as most requests find theirs

/** A context as Koa makes it for a request, whose headers Node has parsed. */
function contextOf(headers: Record<string, string>): Koa.Context {
  const request = new IncomingMessage(socket);
  request.method = 'GET';
  request.url = '/api/images';
  request.headers = { host: 'app.example.com', accept: '*/*', 'user-agent': 'Mozilla/5.0', ...headers };
  return app.createContext(request, new ServerResponse(request));
}

/** Calls `call` over and over; it gives the id of the user whom it found. */
function repeated(name: string, world: World, call: () => Promise<string> | string, calls = 20_000): Variant {
  const start = async () => {
    let found = 0;
    let before = 0;
    await untilWarm(world, 0, async () => call());
    const run = async () => {
      found = 0;
      before = world.commands();
      for (let index = 0; index < calls; index += 1) {
        if (index % 100 === 0) await turn(); // the change feed needs the event loop, or the caches stand aside
        if ((await call()) === world.user.id) found += 1;
      }
      return calls;
    };
    const check = async () => {
      equal(found, calls, `${name}: every call finds the user`);
      equal(world.commands() - before, 0, `${name}: MongoDB commands`);
    };
    return { run, check, stop: () => {} };
  };
  return { name, start };
}

const world = await makeWorld();
const { token, secret, user } = world;
const options: jwt.VerifyOptions & { complete?: false } = {
  algorithms: ['HS256'],
  issuer: 'koa-tollgate',
  audience: 'koa-tollgate',
};
const keyObject = createSecretKey(Buffer.from(secret));
const guard = authenticate(world.shared);
const handler = async () => {};

const cookie = { cookie: `theme=dark; __Host-access_token=${token}; lang=en` };
const bearer = { authorization: `Bearer ${token}` };

async function signedIn(headers: Record<string, string>): Promise<string> {
  const ctx = contextOf(headers);
  await guard(ctx as Parameters<typeof guard>[0], handler);
  return (ctx.state as SignedIn).user.id;
}

const verified = (key: jwt.Secret) => () => String(jwt.verify(token, key, options).sub);

const made = (headers: Record<string, string>) => async () => {
  const ctx = contextOf(headers);
  await handler();
  return ctx.req.headers.host ? user.id : '';
};

const rows = await compare(
  [
    repeated('jsonwebtoken verify, KeyObject', world, verified(keyObject)),
    repeated('jsonwebtoken verify, string secret', world, verified(secret), 200),
    repeated('context alone, cookie', world, made(cookie)),
    repeated('context and authenticate, cookie', world, () => signedIn(cookie)),
    repeated('context alone, Bearer', world, made(bearer)),
    repeated('context and authenticate, Bearer', world, () => signedIn(bearer)),
  ],
  { unit: 'µs', rounds: 15 },
);
print(rows, { unit: 'µs' });

const [withKeyObject, withString, cookieContext, byCookie, bearerContext, byBearer] = rows as [Row, Row, Row, Row, Row, Row]; // biome-ignore format: six names
console.log('\n| authenticate alone | median, µs | verify with KeyObject takes | with a string |');
console.log('| --- | ---: | ---: | ---: |');
for (const [name, whole, context] of [
  ['cookie', byCookie, cookieContext],
  ['Bearer', byBearer, bearerContext],
] as const) {
  const alone = { ...whole, values: eachRound(whole, context, (a, b) => a - b) };
  const times = (row: Row) => `${median(eachRound(row, alone, (a, b) => a / b)).toFixed(1)} times as long`;
  console.log(
    `| ${name} | ${median(alone.values).toFixed(2)} | ${times(withKeyObject)} | ${times(withString)} |`,
  );
}
await world.stop();
