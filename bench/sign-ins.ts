import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import Koa from 'koa';
import { request } from 'undici';
import type { LoadMaker } from './load.js';
import type { Variant } from './runner.js';

const parallel = 8;
const perRun = 24;

/** So many people that no two sign-ins under way are of the same one. */
export const people = Array.from({ length: 12 }, (_, index) => ({
  email: `person-${index}@example.com`,
  password: `lovelace-${1815 + index}`,
}));

/** A way to sign them in. */
export interface SignIns {
  readonly name: string;
  readonly mount: (app: Koa) => unknown;
  readonly path: string;
  /** How many sessions the database holds. */
  readonly sessions: () => Promise<number>;
}

/** What other requests to the same process met meanwhile, in nanoseconds. */
export interface Meanwhile {
  readonly name: string;
  /** From one turn of a 1 ms timer to the next. */
  readonly loop: RecordableHistogram;
  /** From the sending of a request to its answer. */
  readonly others: RecordableHistogram;
}

/** Signs in eight at a time, and asks the same process for a trifle every 5 ms; `notes` is told what that met. */
export function signIns(
  { name, mount, path, sessions }: SignIns,
  load: LoadMaker,
  notes: Meanwhile[],
): Variant {
  const start = async () => {
    const app = new Koa().use(trifle);
    mount(app);
    const server = app.listen(0, '127.0.0.1');
    server.keepAliveTimeout = 0; // a variant's connections wait while the others run
    await once(server, 'listening');
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const sending = { origin, path, headers: {}, bodies: people, requests: perRun, connections: parallel };
    const [loop, others] = [createHistogram(), createHistogram()];
    let warm = false;
    let answers = {};
    let before = 0;

    const run = async () => {
      before = await sessions();
      const over = new AbortController();
      watch(loop, over.signal);
      const asking = ask(`${origin}/trifle`, others, over.signal);
      answers = await load.send(sending);
      over.abort();
      await asking;
      return perRun;
    };
    const check = async () => {
      deepEqual(answers, { 200: perRun }, `${name}: every sign-in is answered with 200`);
      equal((await sessions()) - before, perRun, `${name}: sessions made, as the database has it`);
      if (warm) return;
      warm = true;
      loop.reset();
      others.reset();
    };
    const stop = () => {
      notes.push({ name, loop, others });
      server.close();
      server.closeAllConnections();
    };
    return { run, check, stop };
  };
  return { name, start };
}

async function trifle(ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void> {
  if (ctx.path === '/trifle') ctx.body = { ok: true };
  else await next();
}

/** As `monitorEventLoopDelay` does, which cannot be halted: its first turn after a pause is as long as the pause. */
function watch(loop: RecordableHistogram, over: AbortSignal): void {
  let before = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    loop.record(nanoseconds(now - before));
    before = now;
  }, 1);
  over.addEventListener('abort', () => clearInterval(timer));
}

const nanoseconds = (milliseconds: number): number => Math.max(1, Math.round(milliseconds * 1e6));

async function ask(url: string, others: RecordableHistogram, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const begun = performance.now();
    const { statusCode, body } = await request(url);
    await body.text();
    equal(statusCode, 200, 'every other request is answered with 200');
    others.record(nanoseconds(performance.now() - begun));
    await delay(5);
  }
}

/** Prints what other requests met, as a Markdown table. */
export function printMeanwhile(notes: readonly Meanwhile[]): void {
  const ms = (measured: number) => (measured / 1e6).toFixed(1);
  console.log('\n| meanwhile, ms | loop delay p50 | p99 | max | other requests p50 | p99 | max | requests |');
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
  for (const { name, loop, others } of notes) {
    const columns = [loop, others].flatMap((of) => [of.percentile(50), of.percentile(99), of.max].map(ms));
    console.log(`| ${name} | ${columns.join(' | ')} | ${others.count} |`);
  }
}
