import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { firstMessage } from './first-message.js';
import type { Moment } from './metered-process.js';
import { atEnd, type Client, clientsOf, dbName, mongoUri, secret } from './world.js';

const program = fileURLToPath(new URL('./metered-process.ts', import.meta.url));

/**
 * Starts a process of the metered application, whose clock is wrong by `skew` milliseconds. It ends with the test, or kills itself at
 * the moment that it is told.
 */
export async function startMetered(
  dies: Moment | null = null,
  skew = 0,
): Promise<{
  withHeaders(headers: Record<string, string>): Client;
  ended: Promise<unknown>;
  child: ChildProcess;
}> {
  const args = [mongoUri(), dbName, secret, JSON.stringify(dies), String(skew)];
  const child: ChildProcess = fork(program, args, { execArgv: ['--import=tsx'] });
  const ended = once(child, 'exit');
  atEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const port = await firstMessage(child);
  return { ...clientsOf(`http://127.0.0.1:${port}`), ended, child };
}
