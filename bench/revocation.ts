import { equal } from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { Sessions } from '../dist/index.js';
import { makeWorld } from './world.js';

const signOuts = 200; // of each kind

const world = await makeWorld({ passwordCost: 10 });
const children = Array.from({ length: 5 }, () =>
  fork(new URL('./revocation-process.ts', import.meta.url), [world.uri, world.dbName, world.secret], {
    execArgv: ['--import', 'tsx'],
  }),
);
const ports = await Promise.all(children.map(async (child) => (await once(child, 'message'))[0] as number));
const [first, ...others] = ports.map((port) => new Pool(`http://127.0.0.1:${port}`, { connections: 1 })) as [Pool, ...Pool[]]; // biome-ignore format: a list

interface Answer {
  readonly status: number;
  readonly body: { commands?: number; code?: string };
}

async function send(to: Pool, method: 'GET' | 'POST', path: string, token: string): Promise<Answer> {
  const answer = await to.request({ method, path, headers: { authorization: `Bearer ${token}` } });
  const text = await answer.body.text();
  return { status: answer.statusCode, body: text ? JSON.parse(text) : {} };
}

/** Commands that a request costs which is let in. */
async function cost(of: Pool, path: string, token: string): Promise<number> {
  const [before, after] = [await send(of, 'GET', path, token), await send(of, 'GET', path, token)];
  for (const { status } of [before, after]) equal(status, 200, 'a session is let in until it is signed out');
  return (after.body.commands as number) - (before.body.commands as number);
}

/** When a process first answered that the session has ended; it is asked again and again. */
async function refusedAt(by: Pool, path: string, token: string): Promise<number> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    const { status, body } = await send(by, 'GET', path, token);
    if (status !== 200) {
      equal(body.code, 'session_revoked', 'a session that was signed out is refused');
      return performance.now();
    }
    await delay(1);
  }
  throw new Error(`${path}: still let in after 10 s`);
}

async function answeredAt(token: string): Promise<number> {
  const { status } = await send(first, 'POST', '/auth/sign-out', token);
  equal(status, 204, 'a sign-out is answered with 204');
  return performance.now();
}

/** Milliseconds, by what was measured. */
const times = new Map<string, number[]>();
const note = (name: string, ...values: number[]) => times.set(name, [...(times.get(name) ?? []), ...values]);

async function signOut(kind: 'cached' | 'strict', token: string): Promise<void> {
  const path = `/${kind}`;
  for (const other of others)
    equal(await cost(other, path, token), kind === 'cached' ? 0 : 1, `${kind}: commands of a request`);
  const sent = performance.now();
  const ends = [answeredAt(token), ...others.map((other) => refusedAt(other, path, token))] as const;
  const [answered, ...refused] = (await Promise.all(ends)) as [number, ...number[]];
  const waits = refused.map((at) => Math.max(0, at - answered));
  note('sign-out answered, since it was sent', answered - sent);
  note(`${kind}: refused, since it was sent`, ...refused.map((at) => at - sent));
  note(`${kind}: refused, since it was answered`, ...waits);
  note(`${kind}: refused by the last, since it was answered`, Math.max(...waits));
}

/** The caches count only once the change feed is live. */
async function untilCached(token: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (const other of others)
    while ((await cost(other, '/cached', token)) > 0)
      if (performance.now() > deadline) throw new Error('A change feed does not come to life');
}

await untilCached(world.token);
const tokens = await world.signInAgain(signOuts * 2);
for (const [turn, token] of tokens.entries()) await signOut(turn % 2 ? 'strict' : 'cached', token);

const ended = await Sessions(world.shared.connection).countDocuments({ revokedAt: { $ne: null } });
equal(ended, tokens.length, 'sessions ended, as the database has it');

console.log('| ms | p50 | p99 | max | measured |\n| --- | ---: | ---: | ---: | ---: |');
for (const [name, values] of [...times].sort()) {
  const sorted = values.sort((a, b) => a - b);
  const columns = [0.5, 0.99, 1].map((part) => sorted[Math.ceil(sorted.length * part) - 1]?.toFixed(1));
  console.log(`| ${name} | ${columns.join(' | ')} | ${values.length} |`);
}
await Promise.all([first, ...others].map((pool) => pool.close()));
for (const child of children) child.disconnect();
await world.stop();
